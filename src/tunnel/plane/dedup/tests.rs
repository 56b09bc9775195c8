// SPDX-License-Identifier: MIT
use super::*;

fn cell(rng: &mut Rng) -> [u8; CELL_LEN] {
    let mut cell = [0; CELL_LEN];
    rng.fill(&mut cell[..32]);
    cell
}

#[test]
fn t1_every_replay_is_seen_and_hardly_a_new_cell_is_mistaken() {
    let mut rng = Rng::from_seed(1);
    let mut filter = Filter::new(&mut rng, 64 << 20);
    let now = Mono::from_secs(5);
    let mut false_alarms = 0;
    let mut kept = Vec::new();
    for i in 0..200_000 {
        let cell = cell(&mut rng);
        let alarm = filter.seen(now, &cell);
        false_alarms += u32::from(alarm);
        if i % 100 == 0 && !alarm {
            kept.push(cell);
        }
    }
    assert!(false_alarms < 20, "{false_alarms} of 200,000");
    assert!(kept.iter().all(|cell| filter.seen(now, cell)), "a replay got through");
}

#[test]
fn t1_a_swap_of_iv_and_first_block_is_seen() {
    let mut rng = Rng::from_seed(1);
    let mut filter = Filter::new(&mut rng, 0);
    let mut cell = cell(&mut rng);
    assert!(!filter.seen(Mono::default(), &cell));
    let (iv, rest) = cell.split_at_mut(16);
    iv.swap_with_slice(&mut rest[..16]);
    assert!(filter.seen(Mono::default(), &cell));
}

#[test]
fn t1_cells_are_remembered_for_a_window_and_forgotten_after_two() {
    let mut rng = Rng::from_seed(2);
    let mut filter = Filter::new(&mut rng, 1 << 20);
    let cell_at_start = cell(&mut rng);
    assert!(!filter.seen(Mono::default(), &cell_at_start));
    for minute in 0..20 {
        filter.seen(Mono::from_secs(60 * minute + 1), &cell(&mut rng));
        assert!(filter.seen(Mono::from_secs(60 * minute + 2), &cell_at_start), "minute {minute}");
    }
    filter.seen(Mono::from_secs(1300), &cell(&mut rng));
    filter.seen(Mono::from_secs(1900), &cell(&mut rng));
    assert!(!filter.seen(Mono::from_secs(1901), &cell_at_start));
}

#[test]
fn t1_memory_follows_traffic_up_to_its_bound_and_back() {
    let mut rng = Rng::from_seed(3);
    let most = 1 << 20;
    let mut filter = Filter::new(&mut rng, most);
    assert_eq!(filter.bytes(), BLOCKS_MIN * BLOCK_BYTES);
    for _ in 0..400_000 {
        filter.seen(Mono::default(), &cell(&mut rng));
        assert!(filter.bytes() <= most);
    }
    assert!(filter.bytes() > most / 2);
    for window in 1..4 {
        filter.seen(Mono::from_secs(700 * window), &cell(&mut rng));
    }
    assert!(filter.bytes() <= 4 * BLOCKS_MIN * BLOCK_BYTES, "{}", filter.bytes());
}
