// SPDX-License-Identifier: MIT
use super::*;
use crate::wire::{I2npKind, MessageId};

fn batch(count: usize, len: usize) -> Vec<I2np> {
    let message =
        |n| I2np { kind: I2npKind::GARLIC, id: MessageId(n), expiration_ms: 0, body: vec![0; len - MESSAGE] };
    (0..count as u32).map(message).collect()
}

#[test]
fn z3_eight_megabytes_wait_for_a_destination_and_one_byte_more_does_not() {
    let budget = Budget::new(1 << 30);
    let (inbox, mut task) = inbox(&budget);
    for _ in 0..7 {
        assert_eq!(inbox.push(batch(16, 64 << 10)), 0);
    }
    assert_eq!(inbox.push(batch(17, 64 << 10)), 17, "a batch that does not fit is lost as a whole");
    assert_eq!(inbox.push(batch(1, (1 << 20) + 1)), 1);
    assert_eq!(inbox.push(batch(1, 1 << 20)), 0);
    assert_eq!(inbox.push(batch(1, MESSAGE)), 1, "full");
    assert_eq!(budget.used_by(Part::Garlic), 8 << 20);
    let taken = task.try_recv().map(Arrivals::into_messages);
    assert_eq!(taken.map(|messages| messages.len()), Some(16));
    assert_eq!(budget.used_by(Part::Garlic), 7 << 20, "what is taken is given back");
    assert_eq!(inbox.push(batch(16, 64 << 10)), 0);
    drop((inbox, task));
    assert_eq!(budget.used(), 0);
}

#[test]
fn z3_an_empty_inbox_takes_anything_and_batches_are_counted_too() {
    let budget = Budget::new(1 << 30);
    let (inbox, mut task) = inbox(&budget);
    assert_eq!(inbox.push(batch(1, BYTES + 1)), 0);
    assert_eq!(inbox.push(batch(1, MESSAGE)), 1);
    assert!(task.try_recv().is_some());
    for _ in 0..BATCHES {
        assert_eq!(inbox.push(batch(1, MESSAGE)), 0);
    }
    assert_eq!(inbox.push(batch(2, MESSAGE)), 2, "one batch past the limit");
    assert_eq!(budget.used_by(Part::Garlic), (BATCHES * MESSAGE) as u64, "what was refused counts no more");
    drop((inbox, task));
    assert_eq!(budget.used(), 0);
}
