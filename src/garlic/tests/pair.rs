// SPDX-License-Identifier: MIT
//! Two engines: how sessions begin, go on, and are begun anew.

use super::super::peer::Bundle;
use super::super::{Action, Error, OpenedKind, SealOptions, State};
use super::world::{World, ms, secs};
use crate::base::Mono;

#[test]
fn a_session_begins_with_ns_nsr_and_es() {
    let mut w = World::new(1);
    assert_eq!(w.send(0, 1, b"hello"), Ok(1));
    assert_eq!(w.state(0, 1), State::AwaitingReply);
    w.run(ms(60));
    assert_eq!(w.nodes[1].received, [b"hello".to_vec()]);
    assert_eq!(w.nodes[1].lease_sets, 1, "the first message brings the lease set");
    assert_eq!(w.state(1, 0), State::Replying);
    assert_eq!(w.send(1, 0, b"hi"), Ok(1));
    w.run(ms(60));
    assert_eq!(w.nodes[0].received, [b"hi".to_vec()]);
    assert_eq!(w.state(0, 1), State::Established);
    w.run(secs(2));
    assert_eq!(w.state(1, 0), State::Established, "a message follows the first reply at once");
    w.send(1, 0, b"more").unwrap();
    w.send(0, 1, b"still").unwrap();
    w.run(secs(2));
    assert_eq!(w.nodes[0].received[1], b"more");
    assert_eq!(w.nodes[1].received[1], b"still");
    assert_eq!(w.nodes[0].kinds[..2], [OpenedKind::NewSessionReply, OpenedKind::ExistingSession]);
    assert!(w.nodes.iter().all(|n| n.errors.is_empty()));
    assert_eq!(w.nodes[0].lease_sets, 0, "who was looked up needs not tell its lease set");
    let sets = w.nodes[1].sessions.stats(w.now, &w.remote(0)).unwrap().receive_sets;
    assert_eq!(sets, 1, "only the tag set in use is left");
}

#[test]
fn a_datagram_is_answered_at_once_though_nobody_has_anything_to_say() {
    let mut w = World::new(2);
    w.send(0, 1, b"hello").unwrap();
    w.run(ms(100));
    assert_eq!(w.state(0, 1), State::AwaitingReply);
    w.run(ms(120));
    assert_eq!((w.state(0, 1), w.state(1, 0)), (State::Established, State::Established));
}

#[test]
fn a_stream_packet_is_answered_sooner() {
    let mut w = World::new(3);
    w.send(0, 1, &[0, 0, 0, 0, 0, 0, 0, 0, 0, 6, 1]).unwrap();
    w.run(ms(310));
    assert_eq!(w.state(0, 1), State::Established);
}

#[test]
fn payloads_wait_for_the_first_reply_and_then_go_in_order() {
    let mut w = World::new(4);
    assert_eq!(w.send(0, 1, b"0"), Ok(1));
    for n in b'1'..=b'9' {
        assert_eq!(w.send(0, 1, &[n]), Ok(0));
    }
    w.run(ms(500));
    w.send(1, 0, b"answer").unwrap();
    w.run(secs(1));
    assert_eq!(w.nodes[1].received.concat(), b"0123456789");
    assert_eq!(w.nodes[0].sessions.metrics().new_session_sealed.get(), 1);
}

#[test]
fn an_unanswered_session_is_tried_again_and_reported() {
    let mut w = World::new(5);
    w.loss_percent = 100;
    for n in 0..24 {
        w.send(0, 1, &[n; 1500]).unwrap();
    }
    assert_eq!(w.send(0, 1, b"one of them went, one more fits"), Ok(0));
    assert_eq!(w.send(0, 1, b"but no more"), Err(Error::Full));
    assert_eq!(w.nodes[0].sessions.window(&w.remote(1)), 24);
    w.run(secs(14));
    assert_eq!(w.nodes[0].sent, 5, "after 1, 2, 4, 4 seconds");
    w.run(secs(60));
    let remote = w.remote(1);
    assert_eq!(w.nodes[0].others, [Action::Unanswered { to: remote }]);
    assert!(w.nodes[0].sent <= 10, "{}", w.nodes[0].sent);
    assert_eq!(w.nodes[0].sessions.stats(w.now, &remote).unwrap().held, 0, "nothing waits for ever");
    w.run(secs(200));
    assert!(w.nodes[0].sessions.stats(w.now, &remote).is_none(), "and nothing is left of it");
    assert_eq!(w.nodes[0].sessions.poll_timeout(), None);
}

#[test]
fn several_replies_come_in_any_order() {
    let mut w = World::new(6);
    w.send(0, 1, b"hello").unwrap();
    w.run(ms(60));
    let replies: Vec<Vec<u8>> = (0..4u8).flat_map(|n| w.seal(1, 0, &[n])).collect();
    assert_eq!(replies.len(), 4);
    for reply in replies.into_iter().rev() {
        w.give(0, reply);
    }
    assert_eq!(w.nodes[0].received.concat(), [3, 2, 1, 0]);
    assert_eq!(w.nodes[0].kinds, [OpenedKind::NewSessionReply; 4]);
    w.send(0, 1, b"go on").unwrap();
    w.run(ms(60));
    assert_eq!(w.state(1, 0), State::Established);
    w.send(1, 0, b"yes").unwrap();
    w.run(ms(60));
    assert_eq!(w.nodes[0].received.last().unwrap(), b"yes");
    assert!(w.nodes.iter().all(|n| n.errors.is_empty()));
}

#[test]
fn replies_end_when_the_other_side_would_not_find_their_tags() {
    let mut w = World::new(7);
    w.send(0, 1, b"hello").unwrap();
    w.run(ms(60));
    let made: Vec<usize> = (0..14u8).map(|n| w.send(1, 0, &[n]).unwrap()).collect();
    assert_eq!(made.iter().sum::<usize>(), 10);
    w.run(secs(1));
    assert_eq!(w.nodes[0].received.len(), 14, "the rest followed in the session");
}

#[test]
fn both_may_begin_at_once() {
    for seed in 0..20 {
        let mut w = World::new(100 + seed);
        w.jitter_ms = 200;
        w.send(0, 1, b"a").unwrap();
        w.run(ms(seed * 5));
        w.send(1, 0, b"b").unwrap();
        for n in 0..20u8 {
            w.run(ms(100));
            w.send(0, 1, &[n]).unwrap();
            w.send(1, 0, &[n]).unwrap();
        }
        w.run(secs(10));
        assert_eq!((w.state(0, 1), w.state(1, 0)), (State::Established, State::Established));
        for node in 0..2 {
            assert_eq!(w.nodes[node].received.len(), 21, "seed {seed} node {node}");
            assert!(w.nodes[node].errors.is_empty(), "seed {seed}: {:?}", w.nodes[node].errors);
        }
    }
}

#[test]
fn a_side_that_restarts_is_reached_again() {
    for (who, same_key) in [(0, true), (0, false), (1, true)] {
        let mut w = World::connected(8);
        let now = w.now;
        w.nodes[who].restart(now, same_key);
        w.send(who, 1 - who, b"I am back").unwrap();
        w.run(secs(2));
        assert_eq!(w.nodes[1 - who].received, [b"I am back".to_vec()], "{who} {same_key}");
        w.send(1 - who, who, b"welcome").unwrap();
        w.run(secs(2));
        assert_eq!(w.nodes[who].received, [b"welcome".to_vec()], "{who} {same_key}");
        assert_eq!((w.state(0, 1), w.state(1, 0)), (State::Established, State::Established));
    }
}

#[test]
fn a_remote_that_lost_the_session_is_asked_anew() {
    let mut w = World::connected(9);
    let now = w.now;
    w.nodes[1].restart(now, true);
    for n in 0..75u8 {
        w.send(0, 1, &[n]).unwrap();
        w.run(secs(1));
    }
    assert!(w.nodes[1].received.len() > 5, "a new session was begun after a minute of silence");
    assert_eq!(w.nodes[0].sessions.metrics().session_restarted.get(), 1);
}

#[test]
fn a_changed_lease_set_is_sent_and_confirmed() {
    let mut w = World::connected(10);
    let before = w.nodes[1].lease_sets;
    let now = w.now;
    w.nodes[0].publish(now);
    w.run(secs(8));
    assert_eq!(w.nodes[1].lease_sets, before + 1, "it went by itself");
    for _ in 0..20 {
        w.send(0, 1, b"x").unwrap();
        w.run(secs(2));
    }
    assert_eq!(w.nodes[1].lease_sets, before + 1, "and not again once it was acknowledged");
    assert!(w.nodes[0].others.is_empty());
}

#[test]
fn an_unconfirmed_lease_set_is_sent_again_and_the_path_suspected() {
    let mut w = World::connected(11);
    let before = w.nodes[1].lease_sets;
    let now = w.now;
    w.nodes[0].publish(now);
    w.loss_percent = 100;
    w.send(0, 1, b"x").unwrap();
    w.run(secs(3));
    w.loss_percent = 0;
    w.send(0, 1, b"x").unwrap();
    w.run(secs(2));
    assert_eq!(w.nodes[1].lease_sets, before, "not yet");
    w.send(0, 1, b"x").unwrap();
    w.run(secs(2));
    assert_eq!(w.nodes[1].lease_sets, before + 1);
    let remote = w.remote(1);
    assert_eq!(w.nodes[0].others, [Action::Suspect { to: remote }]);
}

#[test]
fn the_window_opens_as_messages_are_acknowledged() {
    let mut w = World::connected(12);
    let remote = w.remote(1);
    let first = w.nodes[0].sessions.in_flight_allowance(w.now, &remote);
    assert!((15..=24).contains(&first), "{first}");
    for _ in 0..600 {
        if w.nodes[0].sessions.in_flight_allowance(w.now, &remote) > 0 {
            w.send(0, 1, b"x").unwrap();
        }
        w.run(ms(5));
    }
    w.run(secs(6));
    let later = w.nodes[0].sessions.in_flight_allowance(w.now, &remote);
    assert!(later > 100, "{later}");
    assert_eq!(w.nodes[1].errors, []);
}

#[test]
fn marks_of_the_owner_open_the_window_too() {
    let mut w = World::connected(13);
    w.loss_percent = 100;
    let remote = w.remote(1);
    let (now, sessions) = (w.now, &mut w.nodes[0].sessions);
    let mut mark = None;
    for _ in 0..24 {
        mark = sessions.seal(now, &remote, &[b"x"], SealOptions::default()).unwrap().mark;
    }
    assert_eq!(sessions.in_flight_allowance(now, &remote), 0);
    sessions.confirm(now, &remote, mark.unwrap());
    assert!(sessions.in_flight_allowance(now, &remote) >= 24);
}

#[test]
fn idle_sessions_end() {
    let mut w = World::connected(14);
    w.run(secs(490));
    assert_eq!(w.state(0, 1), State::Idle);
    w.run(secs(200));
    for (node, other) in [(0, 1), (1, 0)] {
        let remote = w.remote(other);
        assert!(w.nodes[node].sessions.stats(w.now, &remote).is_none());
        assert_eq!(w.nodes[node].sessions.poll_timeout(), None);
    }
}

#[test]
fn a_forgotten_remote_leaves_nothing() {
    let mut w = World::connected(15);
    let remote = w.remote(1);
    w.nodes[0].sessions.forget(&remote);
    assert!(w.nodes[0].sessions.stats(w.now, &remote).is_none());
    assert_eq!(w.nodes[0].sessions.tags.len(), 0);
    assert!(w.nodes[0].sessions.sets.is_empty());
}

#[test]
fn anothers_key_is_not_taken_for_ones_own() {
    let mut w = World::new(16);
    w.send(1, 0, b"hello").unwrap(); // proves whose key it is
    w.run(secs(3));
    let mut liar = w.remote(1);
    liar.hash.0[0] ^= 1;
    let sealed = w.nodes[0].sessions.seal(w.now, &liar, &[b"x"], SealOptions::default());
    assert_eq!(sealed, Err(Error::KeyMismatch));
}

#[test]
fn a_destination_can_talk_to_itself() {
    let mut w = World::new(17);
    for n in 0..10u8 {
        w.send(0, 0, &[n]).unwrap();
        w.run(ms(300));
    }
    w.run(secs(3));
    assert_eq!(w.nodes[0].received.concat(), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    assert_eq!(w.state(0, 0), State::Established);
}

#[test]
fn a_lease_set_that_nobody_confirms_is_not_sent_for_ever() {
    let mut bundle = Bundle::default();
    let mut sent = Vec::new();
    for s in 0..1000 {
        if bundle.due(Mono::from_secs(s), 1).0 {
            bundle.on_sent(Mono::from_secs(s), 1);
            sent.push(s);
        }
    }
    assert_eq!(sent, [0, 4, 12, 28]);
    assert_eq!(bundle.due(Mono::from_secs(1000), 2), (true, false), "a new one is");
    bundle.on_confirmed(2);
    bundle.on_confirmed(1);
    assert_eq!(bundle.due(Mono::from_secs(1000), 2), (false, false));
}
