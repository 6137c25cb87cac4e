//! Every phase of a replacement, and what a replica or a process meets in it.

use jiff::{SignedDuration, Timestamp};

use crate::http::tls::issue::{self, Leaf};
use crate::http::tls::provided::ProvidedCertificate;
use crate::http::tls::provided::tests::{now, provided};
use crate::http::tls::rotation::{Other, RotationInput, RotationStep, SecretContent, after, first, step};
use crate::http::tls::secret;

const HOST: &str = "rototo.example";
const OVERLAP: SignedDuration = SignedDuration::from_hours(24);

/// A leader with its Secret, and a clock.
struct Install {
    held: SecretContent,
    now: Timestamp,
    provided: Option<ProvidedCertificate>,
    unnamed: usize,
}

impl Install {
    fn new(provided: Option<ProvidedCertificate>) -> Self {
        let mut install = Self { held: held(&input(now(), provided.as_ref(), 0)), now: now(), provided, unnamed: 0 };
        install.restarted();
        install
    }

    fn input(&self) -> RotationInput<'_> {
        input(self.now, self.provided.as_ref(), self.unnamed)
    }

    /// Takes the next step after `hours`, by a leader that has just read the Secret. What a process trusted before the
    /// step, and what it trusts afterwards, accepts the certificates of both.
    fn next(&mut self, hours: i64) -> RotationStep {
        self.now = self.now.checked_add(SignedDuration::from_hours(hours)).unwrap();
        let step = step(&self.held, &self.input());
        let next = after(&self.held, step, &self.input()).unwrap();
        for trusted in [self.held.authorities(), next.authorities()] {
            for leaf in [&self.held.leaf, &next.leaf] {
                assert_eq!(issue::check(&trusted, leaf, HOST, self.now), Ok(()), "{step:?}");
            }
        }
        let is_known = |one: &SecretContent, other: &SecretContent| other.peer_keys().contains(&one.peer_keys()[0]);
        assert!(is_known(&self.held, &next) && is_known(&next, &self.held), "{step:?}: replicas are cut off");
        self.held = next;
        self.restarted();
        step
    }

    /// Another process reads the Secret.
    fn restarted(&mut self) {
        let read = secret::read(&secret::write(&self.held, "s", None)).unwrap();
        assert_eq!(read, self.held);
        self.held = read;
    }

    fn authorities(&self) -> usize {
        self.held.authorities().matches("BEGIN CERTIFICATE").count()
    }
}

fn input(now: Timestamp, provided: Option<&ProvidedCertificate>, unnamed: usize) -> RotationInput<'_> {
    RotationInput { now, overlap: OVERLAP, host: HOST, unnamed, provided }
}

fn held(input: &RotationInput<'_>) -> SecretContent {
    first(input).unwrap()
}

fn asked() -> Install {
    let mut install = Install::new(None);
    install.held.replacement_requested = true;
    install
}

#[test]
fn an_authority_is_replaced_with_an_overlap_before_and_after_the_other_signs() {
    let mut install = asked();
    let before = install.held.clone();
    install.unnamed = 3;
    assert_eq!((install.next(0), install.authorities()), (RotationStep::Begin, 2));
    assert_eq!(install.next(30), RotationStep::Keep, "three marker maps name one authority");
    install.unnamed = 0;
    let both = install.held.authorities();
    assert_eq!(install.next(1), RotationStep::Named);
    assert_eq!(install.next(23), RotationStep::Keep);
    assert_eq!(install.held.leaf, before.leaf);
    assert_eq!((install.next(1), install.authorities()), (RotationStep::Switch, 2));
    assert_eq!(install.held.authorities(), both, "processes connect anew");
    assert_ne!(install.held.leaf, before.leaf);
    assert_eq!(install.next(23), RotationStep::Keep);
    assert_eq!((install.next(1), install.authorities()), (RotationStep::Drop, 1));
    assert!(issue::check(&install.held.authorities(), &before.leaf, HOST, install.now).is_err());
    assert!(!install.held.peer_keys().contains(&before.peer_keys()[0]));
    assert_eq!(install.next(0), RotationStep::Keep);
}

#[test]
fn a_map_that_lost_an_authority_begins_the_overlap_anew_and_holds_up_a_week_at_most() {
    let mut install = asked();
    install.next(0);
    assert_eq!(install.next(0), RotationStep::Named);
    install.unnamed = 1;
    assert_eq!(install.next(23), RotationStep::NamedNoMore);
    install.unnamed = 0;
    assert_eq!(install.next(23), RotationStep::Named);
    assert_eq!(install.next(23), RotationStep::Keep);
    install.unnamed = 1;
    assert_eq!(install.next(1), RotationStep::NamedNoMore);
    assert_eq!(install.next(24 * 7 - 23 * 3 - 2), RotationStep::Keep);
    assert_eq!(install.next(1), RotationStep::Switch);
}

#[test]
fn a_clock_that_was_ahead_holds_nothing_up() {
    let mut install = asked();
    install.next(0);
    install.now = install.now.checked_add(SignedDuration::from_hours(24 * 365)).unwrap();
    let Some(Other::Next { named, .. }) = &mut install.held.other else { panic!() };
    *named = Some(install.now);
    install.now = now();
    assert_eq!(install.next(1), RotationStep::Named);
    assert_eq!(install.next(24), RotationStep::Switch);
}

#[test]
fn an_authority_is_replaced_by_itself_while_it_still_outlives_what_it_signs() {
    let mut install = Install::new(None);
    let year = 365 * 24;
    for _ in 0..7 {
        assert_eq!(install.next(year - 120 * 24 - 48), RotationStep::Keep);
        assert_eq!(install.next(48), RotationStep::Renew);
    }
    let mut years = 5.0;
    while install.next(30 * 24) != RotationStep::Begin {
        years += 30.0 / 365.0;
        assert!(years < 9.0, "the authority was not replaced in time");
    }
}

#[test]
fn the_serving_certificate_is_renewed_in_every_phase() {
    for phases in 0..4 {
        let mut install = asked();
        for _ in 0..phases {
            assert_ne!(install.next(24), RotationStep::Keep);
        }
        let leaf = issue::leaf(
            &install.held.authority.certificate,
            install.held.authority.key.as_ref().unwrap(),
            HOST,
            now() - issue::days(300),
        );
        install.held.leaf = leaf.unwrap();
        install.held.replacement_requested = false;
        let steps = [install.next(0), install.next(0)];
        assert!(steps.contains(&RotationStep::Renew), "after {phases} steps: {steps:?}");
    }
}

#[test]
fn a_provided_certificate_is_served_at_once_if_its_authority_stays() {
    let first = provided(HOST);
    let mut install = Install::new(Some(first.clone()));
    assert_eq!((install.next(0), install.authorities()), (RotationStep::Keep, 1));
    // Of the same authority.
    let (authority, key) = issue::authority(now()).unwrap();
    let leaf = || issue::leaf(&authority, &key, HOST, now()).unwrap();
    let mut install = Install::new(Some(ProvidedCertificate { authority: authority.clone(), leaf: leaf() }));
    let renewed = leaf();
    install.provided = Some(ProvidedCertificate { authority: authority.clone(), leaf: renewed.clone() });
    assert_eq!(install.next(0), RotationStep::Renew);
    assert_eq!(install.held.leaf, renewed);
    assert_eq!(install.next(0), RotationStep::Keep);
}

#[test]
fn a_provided_authority_takes_over_with_the_overlap_and_another_one_meanwhile_begins_it_anew() {
    let (second, third) = (provided(HOST), provided(HOST));
    let mut install = Install::new(Some(provided(HOST)));
    install.provided = Some(second);
    assert_eq!((install.next(0), install.next(0)), (RotationStep::Begin, RotationStep::Named));
    install.provided = Some(third.clone());
    assert_eq!((install.next(23), install.authorities()), (RotationStep::Begin, 2));
    assert_eq!((install.next(1), install.next(24)), (RotationStep::Named, RotationStep::Switch));
    assert_eq!(install.held.leaf, third.leaf);
    assert_eq!(install.next(24), RotationStep::Drop);
    // And back to an authority of the operator's own.
    install.provided = None;
    assert_eq!(
        (install.next(0), install.next(0), install.next(24)),
        (RotationStep::Begin, RotationStep::Named, RotationStep::Switch)
    );
    assert!(install.held.authority.key.is_some());
    assert_eq!((install.next(24), install.next(0)), (RotationStep::Drop, RotationStep::Keep));
}

#[test]
fn a_provided_certificate_that_ends_is_replaced_without_the_overlap() {
    let mut install = Install::new(Some(provided(HOST)));
    install.now = now() + issue::days(issue::SERVING_DAYS - 2);
    let (authority, key) = issue::authority(install.now).unwrap();
    let leaf = issue::leaf(&authority, &key, HOST, install.now).unwrap();
    install.provided = Some(ProvidedCertificate { authority, leaf });
    install.unnamed = 1;
    assert_eq!(install.next(0), RotationStep::Begin);
    assert_eq!(install.next(0), RotationStep::Keep);
    assert_eq!(install.next(4), RotationStep::Keep);
    assert_eq!(install.next(2), RotationStep::Switch);
}

#[test]
fn the_secret_of_an_operator_that_replaced_no_authorities_is_read() {
    let install = Install::new(None);
    let mut written = secret::write(&install.held, "s", None);
    written.data.as_mut().unwrap().remove("peer.key");
    assert_eq!(secret::read(&written).as_ref(), Ok(&install.held));
    let data = written.data.as_mut().unwrap();
    data.insert("ca.key".to_owned(), data["tls.key"].clone());
    assert!(secret::read(&written).unwrap_err().contains("`ca.key` is not the key of `ca.crt`"));
    written.data = None;
    assert!(secret::read(&written).unwrap_err().contains("no `ca.crt`"));
}

#[test]
fn what_others_wrote_on_the_secret_stays() {
    let install = Install::new(None);
    let mut found = secret::write(&install.held, "s", None);
    let annotations = found.metadata.annotations.as_mut().unwrap();
    annotations.insert("example.com/owner".to_owned(), "us".to_owned());
    annotations.insert(secret::REPLACE.to_owned(), "2026-11".to_owned());
    let asked = secret::read(&found).unwrap();
    assert!(asked.replacement_requested);
    let next = after(&asked, RotationStep::Begin, &input(now(), None, 0)).unwrap();
    let annotations = secret::write(&next, "s", Some(&found)).metadata.annotations.unwrap();
    assert!(annotations.contains_key("example.com/owner") && !annotations.contains_key(secret::REPLACE));
}

#[test]
fn a_serving_certificate_is_known_to_end() {
    let Leaf { certificate, .. } = Install::new(None).held.leaf;
    let end = issue::end(&certificate).unwrap();
    assert_eq!(end, "2027-11-20T00:00:00Z".parse().unwrap());
}
