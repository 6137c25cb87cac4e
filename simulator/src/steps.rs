//! A history in words, for whoever reads how it came to a violation.

use std::fmt;

use crate::rollout_plan::Asked;
use crate::script::{Act, Client, FOR_GOOD, PodPlan, Step};

impl fmt::Display for PodPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let extras = [
            (self.labelled, "labelled"),
            (self.second, "two processes"),
            (self.cache, "a disk"),
            (self.sidecar, "a sidecar"),
            (self.mute, "no way to the operator"),
            (self.direct, "a direct source"),
            (self.unprepared, "prepares nothing"),
            (self.client == Client::Older, "an older client"),
            (self.client == Client::Newer, "a newer client"),
        ];
        let extras: Vec<&str> = extras.into_iter().filter(|(has, _)| *has).map(|(_, word)| word).collect();
        f.write_str(&if extras.is_empty() { "no label".to_owned() } else { extras.join(", ") })
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>7} ms  {}", self.at.as_millis(), self.act)
    }
}

/// A process or a pod is chosen among those that there are at that moment: `#n` is the n-th of them, counted round.
impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let letter = |content: &u8| char::from(b'A' + content);
        match self {
            Self::Push(content) => write!(f, "somebody pushes content {}", letter(content)),
            Self::PushReadme => f.write_str("somebody pushes a commit that leaves the workspace as it is"),
            Self::HandOver => write!(f, "the operator that leads ends in order, and the other one continues"),
            Self::RestartOperator(gap) => write!(f, "the operator that leads dies, and starts again after {gap} ms"),
            Self::ChangeLeader => f.write_str("the other operator takes the lease over"),
            Self::CutOperator(time) => write!(f, "the operator can't reach the API server {}", lasts(*time)),
            Self::Stop(one, time) => write!(f, "process #{one} is stopped {}", lasts(*time)),
            Self::Kill(one) => write!(f, "process #{one} is killed"),
            Self::StartProcess(one) => write!(f, "pod #{one} starts another process"),
            Self::OpenHandle(one) => write!(f, "process #{one} opens the workspace once more"),
            Self::CloseHandle(one) => write!(f, "process #{one} closes its oldest handle"),
            Self::CreatePod(plan) => write!(f, "a pod is created: {plan}"),
            Self::DeletePod(one) => write!(f, "pod #{one} is deleted"),
            Self::LoseNode(one) => write!(f, "the node of pod #{one} is lost"),
            Self::Unlabel(one) => write!(f, "pod #{one} loses its label"),
            Self::EditMarker(content, later) => {
                let name = if *later { "a later" } else { "an earlier" };
                write!(f, "somebody writes content {} into the marker, under {name} name", letter(content))
            }
            Self::UndoEdit => f.write_str("somebody puts the marker back that was there before the edit"),
            Self::RemoveMarker => f.write_str("somebody removes the marker"),
            Self::EditNext(content, later) => {
                let name = if *later { "a later" } else { "an earlier" };
                write!(f, "somebody has the marker announce content {}, under {name} name", letter(content))
            }
            Self::RemoveNext => f.write_str("somebody removes the announcement from the marker"),
            Self::PublishAnyway(content) => {
                write!(f, "somebody has content {} published, whatever processes report about it", letter(content))
            }
            Self::Refuse(one, content, refuses) => {
                let verb = if *refuses { "refuses" } else { "no longer refuses" };
                write!(f, "process #{one} {verb} content {}", letter(content))
            }
            Self::CutFromOperator(one, time) => write!(f, "process #{one} can't reach the operator {}", lasts(*time)),
            Self::DeafWatch(one, time) => write!(f, "the watch of process #{one} shows nothing {}", lasts(*time)),
            Self::StalePods(time) => write!(f, "the operator's watch of the pods stands still {}", lasts(*time)),
            Self::StaleMap(time) => write!(f, "the operator's watch of the map stands still {}", lasts(*time)),
            Self::LoseAnswer(late) => {
                write!(f, "the next patch of the marker arrives after {late} ms, and its answer gets lost")
            }
            Self::Clock(jump) => write!(f, "the operators' wall clocks jump by {jump} ms"),
            Self::ForgeStatus => f.write_str("somebody writes into the status that all is well"),
            Self::Busy(time) => write!(f, "the operator turns reports away {}", lasts(*time)),
            Self::RecreateWorkspace(gap) => {
                write!(f, "the workspace is deleted, and created again under its name after {gap} ms")
            }
            Self::StopOperators(time) => write!(f, "no operator process runs {}", lasts(*time)),
            Self::GitAway(time) => write!(f, "the git host answers nobody {}", lasts(*time)),
            Self::ApiAway(time) => write!(f, "the API server answers nobody {}", lasts(*time)),
            Self::LateStatus(late) => write!(f, "the next write of the status arrives after {late} ms"),
            Self::Steps(steps) => write!(f, "the spec gets other steps: {steps}"),
            Self::Ask(asked, newest) => {
                let about = if *newest { "the newest commit" } else { "what is over" };
                let verb = match asked {
                    Asked::Promote => "publish it to all",
                    Asked::PromoteStep => "go on to the next step",
                    Asked::Hold => "stay at this step",
                    Asked::Abort => "take it back",
                    Asked::Retry => "begin again",
                };
                write!(f, "somebody asks about {about}: {verb}")
            }
            Self::Unask => f.write_str("somebody removes the request"),
            Self::Suspend(time) => write!(f, "the workspace is suspended {}", lasts(*time)),
            Self::DeleteStatus => f.write_str("somebody removes the status"),
            Self::EditStage(step, whole) => {
                let pods = if *whole { "every pod" } else { "no pod" };
                write!(f, "somebody writes step {step} with {pods} into the marker")
            }
            Self::RemoveHeld => f.write_str("somebody removes from the marker what was taken back"),
            Self::ChangeSelector => f.write_str("the selector changes to the pods that it did not select"),
            Self::BreakSelector(time) => write!(f, "the selector is invalid {}", lasts(*time)),
            Self::RefuseBySpec(content, time) => {
                write!(f, "the spec asks for a signature that content {} lacks {}", letter(content), lasts(*time))
            }
        }
    }
}

fn lasts(millis: u64) -> String {
    if millis >= FOR_GOOD { "from now on".to_owned() } else { format!("for {millis} ms") }
}
