//! What happens to a checked plan: it is journaled, run, and committed with the records that name its
//! outcome; or it is undone.
//!
//! A plan that makes something (create, commit, mount) is recorded *after* it ran: whoever finds it in the
//! journal of a dead process undoes it. A plan that removes something (unmount, remove) is run after the
//! records that named it are *gone*: whoever finds it completes it. Either way no record ever names what
//! is not there, and what is there without a record is in the journal.

use std::ffi::OsStr;

use nacre_plugin::plan::Step;
use nacre_store::locks::Lock;
use nacre_store::{Direction, Entry, JournalId, LayerId, NewEntry, StateChange, Tx};
use serde_json::json;

use crate::driver::{Driver, Operation, Prepared};
use crate::plan::Plan;
use crate::plan::run::{StepFault, run, sync, undo};
use crate::{Engine, Error, crash, event};

/// How far the outcome of a plan must have reached when the call returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Durability {
    /// It survives the death of the process.
    Process,
    /// It survives a power cut.
    Power,
}

impl Engine {
    /// Run a plan that makes something, and commit `record` with it. With `--explain` nothing is done, and
    /// there is no outcome.
    pub(crate) fn make<T>(
        &self,
        driver: &Driver,
        plan: &Prepared,
        durability: Durability,
        record: impl FnOnce(&Tx<'_>) -> Result<T, nacre_store::Error>,
    ) -> Result<Option<T>, Error> {
        if self.note_explained(driver, plan) {
            return Ok(None);
        }
        let owner = self.store.owner()?;
        let entry = self.begin(driver, plan)?;
        let outcome = self.run_steps(driver, plan).and_then(|()| {
            let commit = |tx: &Tx<'_>| {
                let value = record(tx)?;
                tx.change_state(driver.name(), &state_changes(&plan.steps))?;
                tx.journal_finish(&owner, entry)?;
                Ok(value)
            };
            let value = match durability {
                Durability::Process => self.store.write(commit)?,
                Durability::Power => {
                    sync(&plan.steps, driver.roots())?;
                    self.store.durable(commit)?
                }
            };
            crash::at(plan.operation, "record");
            Ok(value)
        });
        outcome.map(Some).inspect_err(|error| self.give_up(driver, entry, &plan.begun(error)))
    }

    /// Remove records with `forget`, and run the plan that removes what they named. Where it fails,
    /// `restore` puts the records back; without one the plan stays in the journal, and the next command
    /// completes it.
    pub(crate) fn unmake(
        &self,
        driver: &Driver,
        plan: &Prepared,
        forget: impl FnOnce(&Tx<'_>) -> Result<(), nacre_store::Error>,
        restore: Option<impl FnOnce(&Tx<'_>) -> Result<(), nacre_store::Error>>,
    ) -> Result<(), Error> {
        if self.note_explained(driver, plan) {
            return Ok(());
        }
        self.tell(&event::PLAN_END, || told(driver, plan));
        let owner = self.store.owner()?;
        let entry = entry_of(driver, plan)?;
        let begin = |tx: &Tx<'_>| {
            forget(tx)?;
            tx.journal_begin(&owner, &entry)
        };
        // After a power cut a record must not come back whose layer is gone.
        let entry = match plan.operation {
            Operation::Remove => self.store.durable(begin)?,
            _ => self.store.write(begin)?,
        };
        crash::at(plan.operation, "begin");
        if let Err(error) = self.run_steps(driver, plan) {
            if let Some(restore) = restore {
                self.store.write(|tx| {
                    restore(tx)?;
                    tx.journal_finish(&owner, entry)
                })?;
            }
            return Err(error);
        }
        if plan.operation == Operation::Remove {
            self.forget_policies_of(&plan.layer);
        }
        self.finish(driver, entry, &plan.steps)?;
        crash::at(plan.operation, "record");
        Ok(())
    }

    /// What a change of the records would give, or why it would be refused. It is rolled back.
    pub(crate) fn rehearse<T>(
        &self,
        change: impl FnOnce(&Tx<'_>) -> Result<T, nacre_store::Error>,
    ) -> Result<T, Error> {
        let mut outcome = None;
        let rolled_back: Result<(), _> = self.store.write(|tx| {
            outcome = Some(change(tx)?);
            Err(nacre_store::Error::Damaged {
                path: self.root().to_owned(),
                detail: "a rehearsal".to_owned(),
            })
        });
        match (outcome, rolled_back) {
            (Some(value), _) => Ok(value),
            (None, refused) => {
                Err(refused.err().map_or_else(|| Error::usage("nothing to rehearse"), Error::from))
            }
        }
    }

    /// Write a plan to the journal.
    pub(crate) fn begin(&self, driver: &Driver, plan: &Prepared) -> Result<JournalId, Error> {
        self.announce(&event::PLAN_RUN, || told(driver, plan))?;
        let entry = entry_of(driver, plan)?;
        let id = self.store.journal_begin(&entry)?;
        crash::at(plan.operation, "begin");
        Ok(id)
    }

    /// Run a plan's steps. The caller has journaled it.
    pub(crate) fn run_steps(&self, driver: &Driver, plan: &Prepared) -> Result<(), Error> {
        let operation = plan.operation;
        let _span = tracing::debug_span!("plan", op = operation.name(), layer = plan.layer).entered();
        let boundary = |n| {
            crash::at_step(operation, n);
            if let Some(step) = usize::checked_sub(n, 1).and_then(|last| plan.steps.get(last)) {
                self.tell(&event::PLAN_STEP, || {
                    json!({
                        "operation": operation.name(),
                        "layer": plan.layer,
                        "driver": driver.name(),
                        "number": n,
                        "step": step.name(),
                    })
                });
            }
        };
        run(&plan.steps, driver.roots(), &plan.serving, boundary)
            .map_err(|fault| step_failed(driver, operation, fault))
    }

    /// Undo a plan that was journaled by this process. What cannot be undone now stays in the journal, for
    /// the next command.
    pub(crate) fn give_up(&self, driver: &Driver, entry: JournalId, plan: &Prepared) {
        let owner = match self.store.owner() {
            Ok(owner) => owner,
            Err(error) => return tracing::warn!(%error, "this process has no place in the journal"),
        };
        let done = undo_plan(driver, plan.operation.name(), &plan.layer, &plan.steps)
            .and_then(|()| Ok(self.store.write(|tx| tx.journal_finish(&owner, entry))?));
        if let Err(error) = done {
            tracing::warn!(%error, "an unfinished plan could not be undone; the next command tries again");
        }
    }

    fn finish(&self, driver: &Driver, entry: JournalId, steps: &[Step]) -> Result<(), Error> {
        let owner = self.store.owner()?;
        self.store.write(|tx| {
            tx.change_state(driver.name(), &state_changes(steps))?;
            tx.journal_finish(&owner, entry)
        })?;
        Ok(())
    }

    /// Undo or complete what dead processes left. Called when the engine is opened; costs one query when
    /// there is nothing.
    pub(crate) fn recover(&self) -> Result<(), Error> {
        // The latest first: what was begun last stands on what was begun before.
        let entries = self.store.claim_dead()?;
        for entry in &entries {
            if let Err(error) = self.recover_entry(entry) {
                tracing::warn!(
                    op = entry.new.op, subject = entry.new.subject, %error,
                    "what an interrupted command left could not be mended; the next command tries again"
                );
            }
        }
        let died = self.store.sweep_run()? > 0;
        if died || !entries.is_empty() {
            // It may have published content that no record names, or removed a record and not the content.
            self.store.try_sweep_content()?;
            if let Err(error) = self.forgotten_processes(true) {
                tracing::warn!(%error, "what is left of a removed container could not be removed");
            }
        }
        Ok(())
    }

    fn recover_entry(&self, entry: &Entry) -> Result<(), Error> {
        let driver = self.driver(&entry.new.driver)?;
        let steps: Plan = serde_json::from_value(entry.new.plan.clone()).map_err(nacre_store::Error::from)?;
        tracing::info!(
            op = entry.new.op,
            subject = entry.new.subject,
            "recovering from an interrupted command"
        );
        let lock = self.lock_if_of_mount(entry)?;
        if let Some((dir, _)) = &lock
            && self.store.read(|view| view.mount(dir))?.is_some()
        {
            // Somebody cleared this away and mounted it anew; that mount is theirs.
            let owner = self.store.owner()?;
            return Ok(self.store.write(|tx| tx.journal_finish(&owner, entry.id))?);
        }
        match entry.new.direction {
            Direction::Undo => {
                let owner = self.store.owner()?;
                undo_plan(&driver, &entry.new.op, &entry.new.subject, &steps)?;
                self.store.write(|tx| tx.journal_finish(&owner, entry.id))?;
                Ok(())
            }
            Direction::Redo => {
                run(&steps, driver.roots(), OsStr::new(""), |_| {})
                    .map_err(|f| step_failed(&driver, Operation::named(&entry.new.op), f))?;
                if entry.new.op == Operation::Remove.name() {
                    self.forget_policies_of(&entry.new.subject);
                }
                self.finish(&driver, entry.id, &steps)
            }
        }
    }

    /// The lock of the layer that an unfinished mount or unmount is about.
    fn lock_if_of_mount(&self, entry: &Entry) -> Result<Option<(LayerId, Lock)>, Error> {
        if ![Operation::Mount, Operation::Unmount].iter().any(|op| op.name() == entry.new.op) {
            return Ok(None);
        }
        let dir: LayerId = entry.new.subject.parse()?;
        let lock = self.store.lock_mount(&dir)?;
        Ok(Some((dir, lock)))
    }
}

/// What is told of a plan.
fn told(driver: &Driver, plan: &Prepared) -> serde_json::Value {
    json!({
        "operation": plan.operation.name(),
        "layer": plan.layer,
        "driver": driver.name(),
        "steps": plan.steps.iter().map(Step::name).collect::<Vec<_>>(),
    })
}

fn entry_of(driver: &Driver, plan: &Prepared) -> Result<NewEntry, nacre_store::Error> {
    Ok(NewEntry {
        driver: driver.name().to_owned(),
        op: plan.operation.name().to_owned(),
        subject: plan.layer.clone(),
        direction: if plan.operation.is_completed_after_crash() { Direction::Redo } else { Direction::Undo },
        plan: serde_json::to_value(&plan.steps)?,
    })
}

impl Prepared {
    /// What is to be undone when it ended with this error: the steps that may have done something. One that
    /// met something in its way did nothing, and what was in its way is not its to remove.
    pub(crate) fn begun(&self, error: &Error) -> Self {
        let mut begun = self.clone();
        if let Error::Step { number, source, .. } = error {
            begun.steps.truncate(if source.already_exists() { number.saturating_sub(1) } else { *number });
        }
        begun
    }
}

/// Undo a plan. A folder that a mount ensured for itself is undone by no step: the plan that would have ended
/// the mount takes it away.
fn undo_plan(driver: &Driver, operation: &str, layer: &str, steps: &[Step]) -> Result<(), Error> {
    undo(steps, driver.roots()).map_err(|fault| step_failed(driver, Operation::named(operation), fault))?;
    if operation == Operation::Mount.name() {
        let rest = driver.unmount(layer)?;
        run(&rest.steps, driver.roots(), OsStr::new(""), |_| {})
            .map_err(|fault| step_failed(driver, rest.operation, fault))?;
    }
    Ok(())
}

pub(crate) fn state_changes(steps: &[Step]) -> Vec<StateChange> {
    steps
        .iter()
        .filter_map(|step| match step {
            Step::SetState(s) => Some(StateChange::Set(s.key.clone(), s.value.clone())),
            Step::RemoveState(key) => Some(StateChange::Remove(key.clone())),
            _ => None,
        })
        .collect()
}

fn step_failed(driver: &Driver, operation: Operation, fault: StepFault) -> Error {
    Error::Step {
        driver: driver.name().to_owned(),
        operation: operation.name(),
        number: fault.number,
        step: fault.kind,
        source: fault.source,
    }
}
