//! `config.json`, what an OCI runtime is given (OCI runtime specification 1.0).

use std::path::PathBuf;
use std::str::FromStr;

use oci_spec::runtime::{
    BoxBuilder as ConsoleSizeBuilder, Capabilities, Capability, Linux, LinuxCapabilities, LinuxDeviceCgroup,
    LinuxNamespace, LinuxNamespaceType, LinuxResources, Mount as OciMount, Process as OciProcess, Root, Spec,
    User as OciUser,
};

use crate::bundle::{Bundle, ETC};
use crate::defaults;
use crate::process::Process;
use crate::spec::{ContainerSpec, Mount, Network};

/// The configuration of a container.
pub(super) fn config(spec: &ContainerSpec, process: &Process, hostname: &str, bundle: &Bundle) -> Spec {
    let mut root = Root::default();
    root.set_path(spec.rootfs.clone()).set_readonly(Some(spec.read_only));
    let mut config = Spec::default();
    config
        .set_version("1.0.2".into())
        .set_root(Some(root))
        .set_hostname(Some(hostname.to_owned()))
        .set_process(Some(self::process(process)))
        .set_mounts(Some(mounts(spec, bundle)))
        .set_linux(Some(linux(spec)));
    config
}

/// The process of a container, or one to be executed in it.
pub(super) fn process(process: &Process) -> OciProcess {
    let mut user = OciUser::default();
    user.set_uid(process.user.uid)
        .set_gid(process.user.gid)
        .set_additional_gids(Some(process.user.groups.clone()));
    let size = process
        .size
        .and_then(|size| ConsoleSizeBuilder::default().height(size.rows).width(size.columns).build().ok());
    let mut oci = OciProcess::default();
    oci.set_terminal(Some(process.terminal))
        .set_console_size(size)
        .set_user(user)
        .set_args(Some(process.args.clone()))
        .set_env(Some(process.env.clone()))
        .set_cwd(PathBuf::from(&process.cwd))
        .set_no_new_privileges(Some(false))
        .set_rlimits(None)
        .set_capabilities(Some(capabilities(process.user.uid == 0)));
    oci
}

/// Root has the defaults; another user can get them from a setuid program only.
fn capabilities(root: bool) -> LinuxCapabilities {
    let all: Capabilities = defaults::CAPABILITIES
        .iter()
        .filter_map(|name| Capability::from_str(name.strip_prefix("CAP_")?).ok())
        .collect();
    let held = if root { all.clone() } else { Capabilities::new() };
    let mut sets = LinuxCapabilities::default();
    sets.set_bounding(Some(all))
        .set_effective(Some(held.clone()))
        .set_permitted(Some(held))
        .set_inheritable(Some(Capabilities::new()))
        .set_ambient(Some(Capabilities::new()));
    sets
}

fn linux(spec: &ContainerSpec) -> Linux {
    use LinuxNamespaceType as Kind;
    let mut kinds = vec![Kind::Mount, Kind::Pid, Kind::Ipc, Kind::Uts];
    if spec.network == Network::None {
        kinds.push(Kind::Network);
    }
    let namespaces = kinds.into_iter().map(|kind| {
        let mut namespace = LinuxNamespace::default();
        namespace.set_typ(kind);
        namespace
    });
    let mut no_device = LinuxDeviceCgroup::default();
    no_device.set_allow(false).set_access(Some("rwm".into()));
    let mut resources = LinuxResources::default();
    // The runtime allows the harmless ones itself.
    resources.set_devices(Some(vec![no_device]));
    let mut linux = Linux::default();
    linux
        .set_namespaces(Some(namespaces.collect()))
        .set_resources(Some(resources))
        .set_masked_paths(Some(defaults::MASKED_PATHS.map(String::from).to_vec()))
        .set_readonly_paths(Some(defaults::READONLY_PATHS.map(String::from).to_vec()));
    linux
}

fn mounts(spec: &ContainerSpec, bundle: &Bundle) -> Vec<OciMount> {
    let all = "nosuid,noexec,nodev";
    let mut mounts = vec![
        mount("/proc", "proc", "proc", all),
        mount("/dev", "tmpfs", "tmpfs", "nosuid,strictatime,mode=755,size=65536k"),
        mount("/dev/pts", "devpts", "devpts", "nosuid,noexec,newinstance,ptmxmode=0666,mode=0620,gid=5"),
        mount("/sys", "sysfs", "sysfs", "nosuid,noexec,nodev,ro"),
        mount("/sys/fs/cgroup", "cgroup", "cgroup", "nosuid,noexec,nodev,ro"),
        mount("/dev/mqueue", "mqueue", "mqueue", all),
        mount("/dev/shm", "tmpfs", "shm", "nosuid,noexec,nodev,mode=1777,size=65536k"),
    ];
    for (name, target) in ETC {
        mounts.push(mount(target, "bind", bundle.file(name), "rbind,rprivate"));
    }
    mounts.extend(spec.mounts.iter().map(requested));
    mounts
}

fn requested(requested: &Mount) -> OciMount {
    match requested {
        Mount::Bind { source, target, read_only } => {
            mount(target, "bind", source, if *read_only { "rbind,rprivate,ro" } else { "rbind,rprivate" })
        }
        Mount::Tmpfs { target, options } => {
            let defaults = ["nosuid", "nodev", "noexec"].map(String::from);
            let mut tmpfs = mount(target, "tmpfs", "tmpfs", "");
            tmpfs.set_options(Some(defaults.into_iter().chain(options.iter().cloned()).collect()));
            tmpfs
        }
    }
}

fn mount(target: &str, kind: &str, source: impl Into<PathBuf>, options: &str) -> OciMount {
    let mut mount = OciMount::default();
    mount
        .set_destination(target.into())
        .set_typ(Some(kind.to_owned()))
        .set_source(Some(source.into()))
        .set_options(Some(
            options.split(',').filter(|option| !option.is_empty()).map(String::from).collect(),
        ));
    mount
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_capability_is_known() {
        let sets = capabilities(true);
        assert_eq!(sets.bounding().as_ref().map(Capabilities::len), Some(defaults::CAPABILITIES.len()));
    }
}
