// SPDX-License-Identifier: MIT
//! Payloads that nobody sends again.

use super::super::{Allowance, OpenedKind, State};
use super::world::{World, ms, secs};
use crate::base::Now;

/// A gzip member's beginning, as far as the protocol.
const RAW: [u8; 40] = {
    let mut member = [0; 40];
    member[9] = 18;
    member
};

fn datagram(w: &mut World, from: usize, to: usize) -> Vec<Vec<u8>> {
    let (now, remote) = (w.now, w.remote(to));
    let (messages, taken) =
        w.nodes[from].sessions.seal_datagrams(now, &remote, &[RAW], true).expect("sealed");
    assert_eq!(taken, messages.len());
    messages
}

fn later(w: &mut World, by: std::time::Duration) -> Now {
    w.now = w.now.later(by);
    w.now
}

#[test]
fn new_sessions_follow_each_other_at_a_distance_until_an_answer_comes() {
    let mut w = World::new(60);
    assert_eq!(datagram(&mut w, 0, 1).len(), 1);
    assert!(datagram(&mut w, 0, 1).is_empty(), "not two at once");
    let remote = w.remote(1);
    let Allowance::NotBefore(at) = w.nodes[0].sessions.datagram_allowance(w.now, &remote) else {
        panic!("there is nothing to wait for");
    };
    let wait = at.since(w.now.mono);
    assert!(wait >= ms(200), "i2pd drops those that come sooner");
    later(&mut w, wait);
    assert_eq!(datagram(&mut w, 0, 1).len(), 1);
}

#[test]
fn an_answer_to_the_first_of_many_new_sessions_is_understood() {
    let mut w = World::new(61);
    let first = datagram(&mut w, 0, 1).remove(0);
    let opened = w.nodes[1].sessions.open(w.now, first).expect("opens");
    assert_eq!(opened.kind, OpenedKind::NewSession);
    for _ in 0..200 {
        later(&mut w, ms(500));
        datagram(&mut w, 0, 1);
    }
    let remote = w.remote(1);
    let stats = w.nodes[0].sessions.stats(w.now, &remote).expect("known");
    assert!(stats.receive_sets <= 24, "{stats:?}");
    let reply = datagram(&mut w, 1, 0).remove(0);
    assert_eq!(w.nodes[0].sessions.open(w.now, reply).expect("opens").kind, OpenedKind::NewSessionReply);
    assert_eq!(w.state(0, 1), State::Established);
}

#[test]
fn without_acknowledgements_a_session_goes_on_slowly() {
    let mut w = World::connected(62);
    let mut sent = 0;
    let start = w.now.mono;
    while w.now.mono.since(start) < secs(2) {
        sent += datagram(&mut w, 0, 1).len();
        later(&mut w, ms(1));
    }
    assert!((100..200).contains(&sent), "{sent}");
}
