//! `info` and `version`.

use clap::Args;
use nacre_engine::{CONTRACT, CandidateSummary, DriverUse, Info as Summary};
use serde_json::{Value, json};

use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::out::template::Template;
use crate::out::{self, units};

/// Show the storage driver and why it was chosen, the file system, the kernel, and what is kept
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  nacre info
  nacre info --format '{{.Driver}}'
  nacre info -f json")]
pub struct Info {
    /// `json` or a Go template
    #[arg(short, long, value_name = "FORMAT")]
    format: Option<String>,
}

impl Info {
    /// Runs it.
    pub fn run(self, cx: &Context) -> Result<Exit, Failure> {
        let engine = cx.engine()?;
        let info = engine.info()?;
        match &self.format {
            None => out::line(people(&info).trim_end())?,
            format => show(&fields(&info), format.as_deref())?,
        }
        Ok(Exit::OK)
    }
}

/// The fields of `info`, with Docker's names where Docker has them.
fn fields(info: &Summary) -> Value {
    let driver = info.driver.clone().unwrap_or_default();
    json!({
        "Version": info.version,
        "Containers": info.containers,
        "ContainersRunning": info.running,
        "ContainersStopped": info.containers.saturating_sub(info.running),
        "ContainersMounted": info.mounted,
        "Images": info.images,
        "Layers": info.layers,
        "Driver": driver.name,
        "DriverReason": info.driver_reason,
        "DriverVersion": driver.version,
        "DriverDigest": driver.digest,
        "DriverSizeBytes": driver.size,
        "DriverGrants": driver.grants,
        "DriversInUse": info.drivers_in_use.iter().map(|used| &used.name).collect::<Vec<_>>(),
        "DriverState": info.drivers_in_use,
        "Policy": info.policy,
        "PolicyFaults": info.policy_faults,
        "Candidates": info.candidates,
        "MaxDepth": info.max_depth,
        "How": info.how,
        "OverlayMethod": info.overlay_method,
        "Runtime": info.runtime,
        "KernelVersion": kernel(info),
        "BackingFilesystem": info.facts.home.name,
        "Facts": info.facts,
        "RootDir": info.root,
        "RunDir": info.run_dir,
    })
}

fn kernel(info: &Summary) -> String {
    let kernel = &info.facts.kernel;
    format!("{}.{}.{}", kernel.major, kernel.minor, kernel.patch)
}

/// `info` for people.
fn people(info: &Summary) -> String {
    let driver = info.driver.clone().unwrap_or_default();
    let home = &info.facts.home;
    let yes = |b: bool| if b { "yes" } else { "no" };
    let overlay = match info.facts.overlay {
        Some(_) => format!("yes, layers given as {}", info.overlay_method),
        None => "no".to_owned(),
    };
    let ranked: Vec<String> = info.candidates.iter().map(candidate).collect();
    let others: Vec<String> =
        info.drivers_in_use.iter().filter(|used| used.name != driver.name).map(held).collect();
    let component =
        info.driver.as_ref().map(|driver| format!("{} {}, {}", driver.name, driver.version, driver.origin));
    let size = info.driver.as_ref().map(|driver| units::size(driver.size));
    let lines = [
        ("Containers", info.containers.to_string()),
        (" Running", info.running.to_string()),
        (" Mounted", info.mounted.to_string()),
        ("Images", info.images.to_string()),
        ("Layers", info.layers.to_string()),
        (
            "Storage Driver",
            info.driver.as_ref().map_or_else(|| "none".to_owned(), |driver| driver.name.clone()),
        ),
        (" Why", info.driver_reason.clone()),
        (" Component", component.unwrap_or_default()),
        (" Digest", driver.digest.clone()),
        (" Size", size.unwrap_or_default()),
        (" Grants", driver.grants.join(", ")),
        (" Works", info.how.clone().unwrap_or_default()),
        (" Most Layers", info.driver.as_ref().map(|_| most(info.max_depth)).unwrap_or_default()),
        ("Selection Policy", info.policy.clone()),
        (" Ranking", ranked.iter().map(|line| format!("\n  {line}")).collect::<String>()),
        ("Put Aside", info.policy_faults.iter().map(|fault| format!("\n  {fault}")).collect::<String>()),
        ("In Other Drivers", others.join(", ")),
        ("Backing Filesystem", home.name.clone()),
        (" d_type", yes(home.d_type).to_owned()),
        (" Reflinks", yes(home.reflink).to_owned()),
        ("Kernel Version", kernel(info)),
        (" Overlayfs", overlay),
        ("Runtime", info.runtime.clone()),
        ("Root Dir", info.root.clone()),
        ("Run Dir", info.run_dir.clone()),
        ("Version", info.version.clone()),
    ];
    lines
        .iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| format!("{name}: {value}\n"))
        .collect()
}

/// One driver of the ranking in a line.
fn candidate(one: &CandidateSummary) -> String {
    let mark = if one.chosen { "*" } else { "" };
    format!("{}. {}{mark} ({}): {}", one.rank, one.name, one.because.join(", "), one.verdict)
}

/// What a driver holds.
fn held(used: &DriverUse) -> String {
    format!("{} ({} layers, {} containers)", used.name, used.layers, used.containers)
}

/// Show the version of nacre and of the contract that drivers are written against
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  nacre version
  nacre version -f '{{.Version}}'")]
pub struct Version {
    /// `json` or a Go template
    #[arg(short, long, value_name = "FORMAT")]
    format: Option<String>,
}

impl Version {
    /// Runs it.
    pub fn run(self, _: &Context) -> Result<Exit, Failure> {
        let version = json!({
            "Version": env!("CARGO_PKG_VERSION"),
            "Contract": CONTRACT,
            "Os": std::env::consts::OS,
            "Arch": std::env::consts::ARCH,
        });
        match &self.format {
            None => out::line(format!("nacre {}, contract {CONTRACT}", env!("CARGO_PKG_VERSION")))?,
            format => show(&version, format.as_deref())?,
        }
        Ok(Exit::OK)
    }
}

fn show(value: &Value, format: Option<&str>) -> Result<(), Failure> {
    match format {
        None | Some("json") => out::line(value),
        Some(template) => out::line(Template::parse(template)?.render(value)?),
    }
}

/// A driver whose chains have no end says so with the largest number.
fn most(depth: u32) -> String {
    if depth == u32::MAX { "no limit".to_owned() } else { depth.to_string() }
}
