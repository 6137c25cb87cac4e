//! A task that ends with its owner.

use tokio::task::JoinHandle;
use tokio_util::task::AbortOnDropHandle;

/// The last task that its owner has started. It ends when the owner starts another one, ends it, or is dropped. A task that
/// holds its owner alive never sees the last of these: then somebody calls [`Self::end`].
#[derive(Debug, Default)]
pub(crate) struct OwnedTask(Option<AbortOnDropHandle<()>>);

impl OwnedTask {
    /// Returns whether the task runs. One that has panicked does not.
    pub(crate) fn runs(&self) -> bool {
        self.0.as_ref().is_some_and(|task| !task.is_finished())
    }

    /// Owns this task from now on, and ends the one before.
    pub(crate) fn replace(&mut self, task: JoinHandle<()>) {
        self.0 = Some(AbortOnDropHandle::new(task));
    }

    /// Records, from within the task, that it has nothing left to wait for.
    pub(crate) fn ended(&mut self) {
        if let Some(task) = self.0.take() {
            task.detach();
        }
    }

    /// Ends the task.
    pub(crate) fn end(&mut self) {
        self.0 = None;
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use tokio::sync::oneshot;
    use tokio::time::{Duration, timeout};

    use super::*;

    /// Returns whether a task has ended, or does so without a cause of its own.
    async fn ends(ended: oneshot::Receiver<()>) -> bool {
        timeout(Duration::from_secs(1), ended).await.is_ok()
    }

    /// Starts a task that never ends by itself. The receiver gets an error as soon as it was ended.
    fn endless() -> (JoinHandle<()>, oneshot::Receiver<()>) {
        let (held, ended) = oneshot::channel::<()>();
        let task = async move {
            let _held = held;
            pending::<()>().await;
        };
        (tokio::spawn(task), ended)
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_ends_with_its_owner_and_with_the_next_one() {
        let mut owner = OwnedTask::default();
        assert!(!owner.runs());
        let (first, first_ended) = endless();
        owner.replace(first);
        let (second, second_ended) = endless();
        owner.replace(second);
        assert!(ends(first_ended).await && owner.runs());
        owner.end();
        assert!(ends(second_ended).await && !owner.runs());
        let (third, third_ended) = endless();
        owner.replace(third);
        drop(owner);
        assert!(ends(third_ended).await);
    }

    #[tokio::test]
    async fn a_task_that_has_panicked_does_not_run() {
        let mut owner = OwnedTask::default();
        let task = tokio::spawn(async { panic!("on purpose") });
        while !task.is_finished() {
            tokio::task::yield_now().await;
        }
        owner.replace(task);
        assert!(!owner.runs());
    }
}
