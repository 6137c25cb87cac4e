//! Claims about the fleet: their dates, and what keeps the operator from one.

use super::*;

#[test]
fn the_date_of_a_claim_alone_is_written_every_ten_minutes() {
    let case = StatusCase::new();
    let mut next = case.status();
    let mut later = |time: &str| {
        next.fleet.as_mut().unwrap().as_of = Some(Time(time.parse().unwrap()));
        worth_writing(&case.previous, &next)
    };
    assert!(!later("2026-11-20T18:49:59Z"));
    assert!(later("2026-11-20T18:50:00Z"));
}

#[test]
fn a_claim_has_a_date_and_the_time_for_which_it_is_good() {
    let fleet = StatusCase::new().status().fleet.unwrap();
    assert_eq!((fleet.as_of.unwrap().0.to_string().as_str(), fleet.claim_seconds), ("2026-11-20T18:40:00Z", 45));
}

#[test]
fn an_unknown_convergence_does_not_keep_the_workspace_from_being_ready() {
    let unknown = [
        (Fleet::NoProcesses, "NoProcesses"),
        (Fleet::Recounting, "Recounting"),
        (Fleet::Silent, "Silent"),
        (Fleet::Unprovable, "Unprovable"),
    ];
    for (verdict, reason) in unknown {
        let mut case = StatusCase::new();
        case.fleet = fleet(2, 3, verdict);
        let conditions = case.conditions();
        assert_eq!(conditions[0], "Ready=True/Published");
        assert_eq!(conditions.last().unwrap(), &format!("Converged=Unknown/{reason}"));
    }
}

#[test]
fn a_fleet_with_more_processes_than_are_counted_names_the_limit() {
    let mut case = StatusCase::new();
    let full = Some(rototo_protocol::fleet::NoRoom::Pod);
    case.fleet = FleetView { no_room: full, ..fleet(3, 3, Fleet::Unprovable) };
    let status = case.status();
    let converged = status.condition("Converged").unwrap();
    assert!(converged.message.contains("this pod has reported 32 processes"), "{}", converged.message);
}

#[test]
fn an_invalid_selector_makes_no_claim() {
    let mut case = StatusCase::new();
    case.selector_usable = false;
    assert_eq!(case.conditions().last().unwrap(), "Converged=Unknown/SelectorInvalid");
}

#[test]
fn a_figure_that_was_shown_stays() {
    let mut case = StatusCase::new();
    for all in [Some(60), None, Some(3_600_060)] {
        case.fleet.millis = Some(Millis { all, ..Millis::default() });
        case.previous = case.status();
        assert_eq!(case.previous.history[0].converged_millis, Some(64));
        assert_eq!(case.previous.summary.as_ref().unwrap().converged_in.as_deref(), Some("64ms"));
    }
}
