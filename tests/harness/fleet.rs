//! Several example services that follow the same workspace.

use anyhow::bail;

use super::namespace::PATIENCE;
use super::{App, AppSettings, Observation, until};

/// A fleet of example services that follow the same workspace.
#[derive(Debug)]
pub struct Fleet {
    /// The processes of the fleet.
    pub apps: Vec<App>,
}

impl Fleet {
    /// Starts `size` services, and returns when each has a workspace and so is ready.
    pub async fn start(settings: &AppSettings, size: usize) -> anyhow::Result<Self> {
        let mut apps = Vec::new();
        for number in 0..size {
            let settings = settings.clone().name(&format!("{}-{number}", settings.pod_name()));
            apps.push(settings.start_without_waiting().await?);
        }
        for app in &mut apps {
            app.wait_until_listening()?;
        }
        let fleet = Self { apps };
        fleet.wait("ready", |app| Ok(if app.is_ready()? { None } else { Some(app.state()?.to_string()) }))?;
        Ok(fleet)
    }

    /// Waits until every process runs the content with this fingerprint.
    pub fn wait_for_fingerprint(&self, fingerprint: &str) -> anyhow::Result<()> {
        self.wait(&format!("at {fingerprint}"), |app| {
            let state = app.state()?;
            Ok(if state["fingerprint"] == fingerprint { None } else { Some(state.to_string()) })
        })
    }

    /// Waits until `behind` returns `None` for every process.
    fn wait(&self, what: &str, behind: impl Fn(&App) -> anyhow::Result<Option<String>>) -> anyhow::Result<()> {
        if self.apps.is_empty() {
            bail!("a fleet without processes is never {what}");
        }
        until(format_args!("a fleet of {} to be {what}", self.apps.len()), PATIENCE, || {
            for app in &self.apps {
                if let Some(seen) = behind(app)? {
                    return Ok(Observation::NotYet(format!("{}: {seen}", app.pod().name())));
                }
            }
            Ok(Observation::Done(()))
        })
    }
}
