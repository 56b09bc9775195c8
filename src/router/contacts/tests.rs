// SPDX-License-Identifier: MIT
use super::*;
use crate::netdb::{PeerEntry, ViewPolicy};
use crate::transport::DialError;
use crate::tunnel::build::testing::{TestRouter, WALL_MS, routers};
use std::sync::Arc;

fn at(seconds: u64) -> Now {
    Now { mono: Mono::from_secs(seconds), wall_ms: WALL_MS + seconds * 1000 }
}

fn view(routers: &[TestRouter], edit: impl Fn(usize, &mut PeerEntry)) -> PeerView {
    let entries = routers.iter().enumerate().map(|(n, r)| {
        let mut entry = (*r.entry).clone();
        edit(n, &mut entry);
        Arc::new(entry)
    });
    PeerView::new(entries.collect(), None, ViewPolicy::default(), 1)
}

fn fail(contacts: &mut Contacts, s: u64, peers: &[RouterHash]) {
    for peer in peers {
        let failed =
            TransportEvent::DialFailed { peer: *peer, reason: DialError::ConnectTimeout, messages: 0 };
        contacts.event(Mono::from_secs(s), &failed);
    }
}

fn contacts() -> Contacts {
    Contacts::new(Mono::from_secs(0), Rng::from_seed(1))
}

#[test]
fn so_many_are_dialled_side_by_side_and_no_more_while_those_are_under_way() {
    let mut rng = Rng::from_seed(2);
    let all = view(&routers(&mut rng, 100), |_, _| {});
    let mut contacts = contacts();
    assert_eq!(contacts.look(at(0), &PeerView::default(), false), [], "nobody is known yet");
    assert!(contacts.next() <= at(1).mono, "which may change soon");
    let first = contacts.look(at(1), &all, false);
    assert_eq!(first.len(), ENOUGH);
    // The second round is twice as large, since nobody has answered so far.
    assert_eq!(contacts.look(at(2), &all, false).len(), ENOUGH);
    assert_eq!(contacts.look(at(4), &all, false), [], "sixteen are under way");
    fail(&mut contacts, 5, &first);
    let next = contacts.look(at(6), &all, false);
    assert_eq!(next.len(), ENOUGH);
    assert!(next.iter().all(|p| !first.contains(p)), "nobody twice");
    let silent = at(6 + DIAL.as_secs());
    assert_eq!(contacts.look(silent, &all, false).len(), 2 * ENOUGH, "a dial without outcome is over");
}

#[test]
fn rounds_in_vain_come_less_often() {
    let mut rng = Rng::from_seed(3);
    let all = view(&routers(&mut rng, 300), |_, _| {});
    let (mut contacts, mut s, mut pauses) = (contacts(), 0, Vec::new());
    for _ in 0..7 {
        let dialled = contacts.look(at(s), &all, true);
        assert!(!dialled.is_empty(), "who has never reached anybody goes on even when cut off");
        fail(&mut contacts, s, &dialled);
        pauses.push(contacts.next().since(Mono::from_secs(s)).as_secs());
        s += pauses.last().unwrap();
    }
    assert_eq!(pauses, [1, 2, 4, 8, 16, 16, 16]);
}

#[test]
fn who_has_reached_enough_rests_until_that_is_long_ago() {
    let mut rng = Rng::from_seed(5);
    let some = routers(&mut rng, 40);
    let all = view(&some, |_, _| {});
    let mut contacts = contacts();
    let first = contacts.look(at(0), &all, false);
    first[..5].iter().for_each(|peer| contacts.reached(Mono::from_secs(1), *peer));
    fail(&mut contacts, 1, &first[5..]);
    let next = contacts.look(at(2), &all, false);
    assert_eq!(next.len(), 3, "as many as are missing");
    next.iter().for_each(|peer| contacts.reached(Mono::from_secs(3), *peer));
    assert_eq!(contacts.look(at(4), &all, false), []);
    assert_eq!(contacts.next(), at(9).mono, "it looks again at its leisure");
    // Links that are still there count, and others do not for ever.
    let linked = view(&some, |_, entry| entry.connected = first[..5].contains(&entry.hash));
    assert_eq!(contacts.look(at(800), &linked, false), []);
    let later = contacts.look(at(1_000), &linked, false);
    assert_eq!(later.len(), 3);
    assert!(later.iter().all(|peer| !first[..5].contains(peer)));
}

#[test]
fn who_is_cut_off_from_routers_that_it_reached_does_not_blame_others() {
    let mut rng = Rng::from_seed(6);
    let all = view(&routers(&mut rng, 40), |_, _| {});
    let mut contacts = contacts();
    let first = contacts.look(at(0), &all, false);
    contacts.reached(Mono::from_secs(1), first[0]);
    assert_eq!(contacts.look(at(60), &all, true), []);
    assert!(!contacts.look(at(65), &all, false).is_empty(), "it goes on when somebody has been heard");
}

#[test]
fn routers_with_links_or_failures_are_left_alone() {
    let mut rng = Rng::from_seed(4);
    let some = routers(&mut rng, CROWD);
    let of = |n: usize| some[n].entry.hash;
    let seen = view(&some, |n, entry| match n {
        0 => entry.connected = true,
        1 => entry.standing.unreachable_until_ms = WALL_MS + 60_000,
        2..6 => {}
        _ => entry.connected = true,
    });
    let mut contacts = contacts();
    fail(&mut contacts, 0, &[of(2)]);
    let mut dialled = contacts.look(at(1), &seen, false);
    dialled.sort_unstable();
    let mut expected = [of(3), of(4), of(5)];
    expected.sort_unstable();
    assert_eq!(dialled, expected);
    let again = LATELY.as_secs() + 1;
    assert_eq!(contacts.look(at(again), &seen, false).len(), 5, "in time, everybody has another chance");
}

#[test]
fn among_few_nobody_is_dialled() {
    let mut rng = Rng::from_seed(9);
    let some = routers(&mut rng, CROWD);
    let few = view(&some[1..], |_, _| {});
    let mut contacts = contacts();
    assert_eq!(contacts.look(at(0), &few, false), []);
    assert_eq!(contacts.look(at(6), &view(&some, |_, _| {}), false).len(), ENOUGH);
}

#[test]
fn the_table_of_dials_is_bounded() {
    let mut contacts = contacts();
    for n in 0..DIALLED_MAX + 1 {
        let hash = RouterHash(crate::crypto::sha256(&[&n.to_be_bytes()]));
        contacts.note(Mono::from_secs(n as u64), hash, Dial::Failed);
        assert!(contacts.dialled.len() <= DIALLED_MAX);
        assert!(contacts.dialled.contains_key(&hash));
    }
    let first = RouterHash(crate::crypto::sha256(&[&0usize.to_be_bytes()]));
    assert!(!contacts.dialled.contains_key(&first), "the oldest went");
}
