//! Pages that scripts write, opened in a real browser without a screen.

use std::path::{Path, PathBuf};
use std::process::Command;

use nacre_tests::{Outcome, fixture, program, scratch, skip};

use crate::scripts::run;
use crate::with_busybox;

/// A browser that prints a page after its scripts ran.
fn browser() -> Option<PathBuf> {
    let found = ["chromium-headless-shell", "chromium", "chromium-browser", "google-chrome"]
        .into_iter()
        .find_map(program);
    if found.is_none() {
        skip(
            "a page is looked at by a browser: none of chromium-headless-shell, chromium and google-chrome is here",
        );
    }
    found
}

/// The page as the browser has it once `script` ran in it.
fn rendered(browser: &Path, page: &Path, script: &str) -> String {
    let text = std::fs::read_to_string(page).unwrap();
    let copy = page.with_extension("tried.html");
    std::fs::write(&copy, text.replace("</body>", &format!("<script>{script}</script></body>"))).unwrap();
    let profile = scratch();
    let mut command = Command::new(browser);
    command
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .arg(format!("file://{}", copy.display()));
    Outcome::of(&mut command).succeeded()
}

/// What nobody else's server is asked for: a page in one file.
fn assert_self_contained(text: &str) {
    for outside in ["http:", "https:", "src=", "<link", "@import", "url("] {
        assert!(!text.contains(outside), "{outside}");
    }
}

/// Sorts the first table by a column, and writes what the page then shows into its title.
const SORT: &str = "
const heads = [...document.querySelectorAll('table')][0].querySelectorAll('th');
const names = () => [...document.querySelectorAll('table')[0].tBodies[0].rows].map((row) => row.cells[0].textContent).join(',');
heads[0].click(); const up = names(); heads[0].click(); const down = names();
const bars = [...document.querySelectorAll('svg rect[fill^=\"var(--s\"]')].map((bar) => bar.getBoundingClientRect().width);
const wide = document.documentElement.scrollWidth <= window.innerWidth;
document.title = 'UP ' + up + ' DOWN ' + down + ' BARS ' + bars.filter((width) => width > 0).length + ' FITS ' + wide;";

fn title(page: &str) -> &str {
    page.split_once("<title>").unwrap().1.split_once("</title>").unwrap().0
}

#[test]
fn the_report_is_a_page_that_a_browser_shows_and_sorts() {
    let (nacre, image) = with_busybox();
    let dir = scratch();
    nacre.ok(["run", "--name", "box", image, "sh", "-c", "rm /etc/group; head -c 300000 /dev/zero > /z"]);
    nacre.ok(["commit", "box", "a/made:1"]);
    let page = dir.path().join("report.html");
    run(&nacre, dir.path(), "report.lua", &["--html", page.to_str().unwrap()]).succeeded();
    let text = std::fs::read_to_string(&page).unwrap();
    assert_self_contained(&text);
    assert!(text.contains("a/made:1") && text.contains("<svg"));
    let Some(browser) = browser() else { return };
    let shown = rendered(&browser, &page, SORT);
    let title = title(&shown);
    assert!(title.contains(&format!("UP a/made:1,{image} DOWN {image},a/made:1")), "{title}");
    assert!(!title.contains("BARS 0") && title.ends_with("FITS true"), "{title}");
    nacre.ok(["rm", "box"]);
}

#[test]
fn the_comparison_is_a_page_that_a_browser_shows() {
    let (nacre, dir) = (nacre_tests::Nacre::new(), scratch());
    let archive = dir.path().join("busybox.tar");
    std::fs::copy(fixture::busybox().docker(), &archive).unwrap();
    let page = dir.path().join("drivers.html");
    let words = [
        archive.to_str().unwrap(),
        "--rounds",
        "1",
        "--containers",
        "1",
        "--driver",
        "vfs",
        "--driver",
        "overlay2",
    ];
    let mut words = words.to_vec();
    words.extend(["--html", page.to_str().unwrap()]);
    run(&nacre, dir.path(), "compare-drivers.lua", &words).succeeded();
    assert_self_contained(&std::fs::read_to_string(&page).unwrap());
    let Some(browser) = browser() else { return };
    let shown = rendered(&browser, &page, SORT);
    let title = title(&shown);
    assert!(title.contains("UP overlay2,vfs DOWN vfs,overlay2"), "{title}");
    assert!(!title.contains("BARS 0") && title.ends_with("FITS true"), "{title}");
}
