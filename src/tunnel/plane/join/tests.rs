// SPDX-License-Identifier: MIT
use proptest::prelude::*;

use super::*;
use crate::base::{Now, Rng};
use crate::tunnel::types::{HopKeys, Install, PoolId, TunnelConfig};
use crate::wire::TunnelId;

struct Rig {
    table: Table,
    slot: SlotKey,
    joiner: Joiner,
    metrics: PlaneMetrics,
}

fn rig(limits: JoinLimits) -> Rig {
    let mut table = Table::new(&mut Rng::from_seed(1), 0, 8);
    let slot = install(&mut table, 1);
    Rig { table, slot, joiner: Joiner::new(limits), metrics: PlaneMetrics::default() }
}

fn install(table: &mut Table, id: u32) -> SlotKey {
    let hops = vec![HopKeys::new(&[1; 32], &[2; 32])];
    let (receive, owner) = (TunnelId(id), PoolId(1));
    let config = TunnelConfig::Inbound { receive, owner, previous: None, hops };
    let key = config.key();
    let install = Install { config, expires: Mono::from_secs(600), rate: None };
    table.insert(Mono::default(), &install).expect("room");
    table.find(key).expect("there")
}

impl Rig {
    fn add_to(&mut self, slot: SlotKey, now: Mono, fragment: Fragment<'_>) -> Option<Vec<u8>> {
        let partials = self.table.partials_mut(slot)?;
        let whole = self.joiner.add(now, slot, partials, &fragment, &self.metrics);
        self.joiner.enforce(&mut self.table, &self.metrics);
        whole.map(|(_, bytes)| bytes)
    }

    fn add(&mut self, fragment: Fragment<'_>) -> Option<Vec<u8>> {
        self.add_to(self.slot, Now::default().mono, fragment)
    }

    fn held(&self) -> (usize, usize) {
        (self.joiner.messages(), self.joiner.bytes())
    }
}

fn first(id: u32, data: &[u8]) -> Fragment<'_> {
    Fragment::First { delivery: Delivery::Local, id: MessageId(id), data }
}

fn follow(id: u32, number: u8, last: bool, data: &[u8]) -> Fragment<'_> {
    Fragment::Follow { id: MessageId(id), number, last, data }
}

#[test]
fn fragments_join_in_any_order() {
    let mut rig = rig(JoinLimits::default());
    assert_eq!(rig.add(follow(1, 2, true, b"c")), None);
    assert_eq!(rig.add(follow(1, 1, false, b"b")), None);
    assert_eq!(rig.held(), (1, 2));
    assert_eq!(rig.add(first(1, b"a")).as_deref(), Some(&b"abc"[..]));
    assert_eq!(rig.held(), (0, 0));
}

#[test]
fn contradictions_drop_the_message() {
    let cases: [&[Fragment<'_>]; 4] = [
        &[follow(1, 2, true, b"x"), follow(1, 3, false, b"x")],
        &[follow(1, 3, false, b"x"), follow(1, 2, true, b"x")],
        &[follow(1, 2, true, b"x"), follow(1, 1, true, b"x")],
        &[first(1, b"a"), follow(1, 1, false, b"b"), follow(1, 4, true, b"x"), follow(1, 5, true, b"y")],
    ];
    for case in cases {
        let mut rig = rig(JoinLimits::default());
        for fragment in case {
            assert_eq!(rig.add(*fragment), None);
        }
        assert_eq!(rig.held(), (0, 0), "{case:?}");
        assert_eq!(rig.metrics.join_dropped_malformed.get(), 1, "{case:?}");
    }
}

#[test]
fn t7_a_message_of_the_largest_size_joins_and_one_byte_more_does_not() {
    for (extra, joins) in [(0, true), (1, false)] {
        let mut rig = rig(JoinLimits::default());
        let data = [5; 996];
        let mut whole = rig.add(first(1, &data[..956]));
        for number in 1..=62 {
            let last = number == 62 && extra == 0;
            whole = whole.or(rig.add(follow(1, number, last, &data)));
        }
        if extra == 1 {
            whole = whole.or(rig.add(follow(1, 63, true, &data[..1])));
        }
        assert_eq!(whole.map(|w| w.len()), joins.then_some(MESSAGE_MAX));
        assert_eq!(rig.held(), (0, 0));
    }
}

#[test]
fn t7_a_tunnel_keeps_as_many_messages_as_allowed_and_loses_its_oldest_for_one_more() {
    let mut rig = rig(JoinLimits::default());
    for id in 0..64 {
        rig.add(first(id, b"a"));
    }
    assert_eq!(rig.held(), (64, 64));
    rig.add(first(64, b"a"));
    assert_eq!(rig.held(), (64, 64));
    assert_eq!(rig.metrics.join_dropped_tunnel.get(), 1);
    assert_eq!(rig.add(follow(1, 1, true, b"b")).as_deref(), Some(&b"ab"[..]), "the second lives");
    assert_eq!(rig.add(follow(0, 1, true, b"b")), None, "the first is gone");
}

#[test]
fn t7_a_tunnel_keeps_as_many_bytes_as_allowed() {
    let limits = JoinLimits { tunnel_bytes: 2000, ..JoinLimits::default() };
    let mut rig = rig(limits);
    rig.add(first(1, &[0; 1000]));
    rig.add(first(2, &[0; 1000]));
    assert_eq!(rig.held(), (2, 2000));
    rig.add(first(3, &[0; 1]));
    assert_eq!(rig.held(), (2, 1001));
}

#[test]
fn t7_all_tunnels_together_lose_their_oldest_message() {
    let limits = JoinLimits { total_bytes: 2000, ..JoinLimits::default() };
    let mut rig = rig(limits);
    let other = install(&mut rig.table, 2);
    let now = Mono::default();
    rig.add_to(other, now, first(9, &[0; 1000]));
    rig.add(first(1, &[0; 1000]));
    assert_eq!(rig.held(), (2, 2000));
    rig.add(follow(1, 1, false, &[0; 500]));
    assert_eq!(rig.held(), (1, 1500));
    assert_eq!(rig.metrics.join_dropped_total.get(), 1);
    assert_eq!(rig.table.partials(other).map(Partials::len), Some(0));
}

#[test]
fn t7_messages_end_with_their_time_or_their_tunnel() {
    let mut rig = rig(JoinLimits::default());
    let slot = rig.slot;
    rig.add_to(slot, Mono::from_secs(1), first(1, b"a"));
    rig.add_to(slot, Mono::from_secs(2), first(2, b"a"));
    assert_eq!(rig.joiner.next_deadline(), Some(Mono::from_secs(16)));
    rig.joiner.expire(Mono(Mono::from_secs(16).0 - 1), &mut rig.table, &rig.metrics);
    assert_eq!(rig.held().0, 2);
    rig.joiner.expire(Mono::from_secs(16), &mut rig.table, &rig.metrics);
    assert_eq!(rig.held().0, 1);
    let tunnel = rig.table.remove(slot).expect("there");
    let crate::tunnel::plane::table::Role::Inbound { partials, .. } = &tunnel.role else { panic!("inbound") };
    rig.joiner.forget(partials, &rig.metrics);
    assert_eq!(rig.held(), (0, 0));
    assert_eq!(rig.metrics.join_dropped_gone.get(), 1);
}

#[test]
fn the_order_of_messages_is_swept() {
    let mut rig = rig(JoinLimits::default());
    rig.add(first(1, b"stays"));
    for id in 2..10_000 {
        rig.add(first(id, b"a"));
        assert!(rig.add(follow(id, 1, true, b"b")).is_some());
    }
    assert!(rig.joiner.order.len() < 1100, "{}", rig.joiner.order.len());
    rig.add(follow(1, 1, true, b"b"));
    assert_eq!(rig.joiner.next_deadline(), None, "nothing waits, so no timer runs");
}

/// What the joiner should do with a well-formed stream of fragments.
#[derive(Default)]
struct Model {
    parts: std::collections::BTreeMap<u32, std::collections::BTreeMap<u8, Vec<u8>>>,
}

impl Model {
    fn add(&mut self, id: u32, number: u8, count: u8, data: &[u8]) -> Option<Vec<u8>> {
        let parts = self.parts.entry(id).or_default();
        parts.entry(number).or_insert_with(|| data.to_vec());
        if parts.len() < usize::from(count) {
            return None;
        }
        self.parts.remove(&id).map(|parts| parts.into_values().flatten().collect())
    }
}

proptest! {
    #[test]
    fn t7_joining_does_what_the_model_does(
        messages in prop::collection::vec(prop::collection::vec(1usize..50, 2..8), 1..6),
        seed in any::<u64>(),
        lose in 0u64..4,
        repeat in 0u64..4,
    ) {
        let mut rng = Rng::from_seed(seed);
        let mut cards = Vec::new();
        for (id, sizes) in messages.iter().enumerate() {
            for (number, &size) in sizes.iter().enumerate() {
                let mut data = vec![0; size];
                rng.fill(&mut data);
                let card = (id as u32, number as u8, sizes.len() as u8, data);
                if rng.below(20) >= lose {
                    cards.push(card.clone());
                }
                if rng.below(20) < repeat {
                    cards.push(card);
                }
            }
        }
        rng.shuffle(&mut cards);
        let (mut rig, mut model) = (rig(JoinLimits::default()), Model::default());
        for (id, number, count, data) in &cards {
            let fragment = match number {
                0 => first(*id, data),
                _ => follow(*id, *number, number + 1 == *count, data),
            };
            prop_assert_eq!(rig.add(fragment), model.add(*id, *number, *count, data));
        }
        let held: usize = model.parts.values().flat_map(|p| p.values()).map(Vec::len).sum();
        prop_assert_eq!(rig.held(), (model.parts.len(), held));
    }

    #[test]
    fn arbitrary_fragments_keep_the_books_straight(
        cards in prop::collection::vec((0u32..5, 0u8..64, any::<bool>(), 1usize..996), 0..300),
    ) {
        let limits = JoinLimits { tunnel_bytes: 20_000, tunnel_messages: 3, total_bytes: 15_000, ..JoinLimits::default() };
        let mut rig = rig(limits);
        for (id, number, last, size) in cards {
            let data = vec![number; size];
            let whole = rig.add(if number == 0 { first(id, &data) } else { follow(id, number, last, &data) });
            prop_assert!(whole.is_none_or(|w| w.len() <= MESSAGE_MAX));
            let partials = rig.table.partials(rig.slot).expect("there");
            let counted: usize = partials.queue.iter().map(|p| p.bytes).sum();
            let stored: usize = partials.queue.iter()
                .map(|p| p.head.len() + p.later.iter().map(|(_, d)| d.len()).sum::<usize>()).sum();
            prop_assert_eq!((counted, stored, partials.len()), (rig.joiner.bytes, rig.joiner.bytes, rig.joiner.messages));
            prop_assert!(rig.joiner.bytes <= 15_000 && partials.len() <= 3);
        }
    }
}
