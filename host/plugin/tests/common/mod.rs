//! What these tests share.
#![allow(dead_code)]

use std::sync::Arc;
use std::time::Duration;

use nacre_plugin::types::{Facts, Filesystem, KernelVersion, OverlayFacts};
use nacre_plugin::{Component, ComponentHost, Config, Driver, Limits, NoState};

pub fn host() -> ComponentHost {
    ComponentHost::new(Config::default()).unwrap()
}

/// A host that waits for an endless loop as briefly as a busy machine needs for an ordinary call.
pub fn impatient() -> ComponentHost {
    let limits = Limits { call_time: Duration::from_secs(1), ..Limits::default() };
    ComponentHost::new(Config { limits, ..Config::default() }).unwrap()
}

pub fn overlay2(host: &ComponentHost) -> Component {
    host.load("built in", nacre_drivers::find("overlay2").unwrap().wasm).unwrap()
}

pub fn hostile(host: &ComponentHost) -> Driver {
    host.load("hostile.wasm", nacre_test_guests::HOSTILE).unwrap().driver(Arc::new(NoState)).unwrap()
}

/// A machine with everything that facts can say.
pub fn capable() -> Facts {
    Facts {
        kernel: KernelVersion { major: 6, minor: 18, patch: 0 },
        privileged: true,
        overlay: Some(OverlayFacts {
            lowers_one_by_one: true,
            max_lowers: 500,
            max_option_bytes: 4095,
            index: true,
            metacopy: true,
            redirect_dir: true,
            volatile: true,
            userxattr: true,
        }),
        home: Filesystem {
            name: "ext4".into(),
            magic: 0xef53,
            d_type: true,
            trusted_xattrs: true,
            user_xattrs: true,
            reflink: true,
            project_quota: true,
        },
        filesystems: vec!["ext4".into(), "overlay".into()],
        tools: vec![],
        zfs: None,
        thin_pools: false,
    }
}
