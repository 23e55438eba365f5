//! Plans that are told and not run, and where a path comes from.

use serde::Serialize;

/// A plan that was asked for and not run.
#[derive(Debug, Clone, Serialize)]
pub struct Explained {
    /// `create`, `commit`, `mount`, `unmount` or `remove`.
    pub operation: String,
    /// The layer, container or image that it concerns.
    pub subject: String,
    /// The driver that planned it.
    pub driver: String,
    /// `undo` or `redo`: what happens to it after a crash.
    pub after_crash: String,
    /// The steps.
    pub steps: Vec<ExplainedStep>,
}

/// A step of a plan, for people and for programs.
#[derive(Debug, Clone, Serialize)]
pub struct ExplainedStep {
    /// The step's kind, such as `make-dir`.
    pub step: String,
    /// The path that it is about, absolute.
    pub path: String,
    /// The rest, in words.
    pub detail: String,
    /// The step as the component gave it.
    pub raw: serde_json::Value,
}

/// What one layer says to a path, for `why`.
#[derive(Debug, Clone, Serialize)]
pub struct Probe {
    /// 0 is the topmost layer.
    pub index: usize,
    /// `container` or the layer's diff ID.
    pub layer: String,
    /// What was found: `absent`, `file`, `directory`, `whiteout`, …
    pub found: String,
    /// More about it.
    pub detail: String,
    /// This layer gives the answer.
    pub answers: bool,
}

/// Where a path of a container or image comes from.
#[derive(Debug, Clone, Serialize)]
pub struct Why {
    /// The path, absolute.
    pub path: String,
    /// Each layer that was looked at, topmost first.
    pub probes: Vec<Probe>,
    /// What the search says in one sentence.
    pub answer: String,
    /// What a first write to it would cost.
    pub first_write: String,
}
