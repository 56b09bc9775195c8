// SPDX-License-Identifier: MIT
use super::*;

const DAY_2026_01_01: u64 = 1_767_225_600_000;

#[test]
fn dates_are_those_of_the_utc_calendar() {
    for (ms, text) in [
        (0, b"19700101"),
        (951_782_400_000, b"20000229"),
        (1_709_164_800_000, b"20240229"),
        (1_709_251_200_000, b"20240301"),
        (DAY_2026_01_01 - 1, b"20251231"),
        (DAY_2026_01_01, b"20260101"),
        (DAY_2026_01_01 + DAY_MS - 1, b"20260101"),
        (4_102_444_800_000, b"21000101"),
    ] {
        assert_eq!(&date(ms), text, "{ms}");
    }
}

#[test]
fn routing_keys_match_the_published_vectors_and_change_at_midnight() {
    let hex = |k: RoutingKey| k.as_bytes().iter().map(|b| format!("{b:02x}")).collect::<String>();
    let zero = Hash([0; 32]);
    let first = RoutingKey::new(&zero, DAY_2026_01_01 + 5);
    assert_eq!(hex(first), "b9f603f7367ff7f402bd133059f16030903372a0af2b2d6dcb43a219c353f7e3");
    assert_eq!(first, RoutingKey::new(&zero, DAY_2026_01_01 + DAY_MS - 1));
    let second = RoutingKey::new(&zero, DAY_2026_01_01 + DAY_MS);
    assert_eq!(hex(second), "acbabbb603fe36066555cb2fdba6de5b4d8574a3c15c35eea179b740ab195763");
}

#[test]
fn only_near_midnight_is_there_a_second_day() {
    let window = MIDNIGHT_WINDOW_MS;
    assert_eq!(neighbour_day(DAY_2026_01_01 + DAY_MS / 2, window), None);
    assert_eq!(neighbour_day(DAY_2026_01_01 + window, window), None);
    let before = neighbour_day(DAY_2026_01_01 - 1, window).map(day_number);
    assert_eq!(before, Some(day_number(DAY_2026_01_01)));
    let after = neighbour_day(DAY_2026_01_01 + 1, window).map(day_number);
    assert_eq!(after, Some(day_number(DAY_2026_01_01) - 1));
}

#[test]
fn closest_agrees_with_sorting_everything() {
    let hashes: Vec<RouterHash> = (0..500_u32).map(|i| RouterHash(sha256(&[&i.to_be_bytes()]))).collect();
    for (seed, n) in [(1_u8, 0), (2, 1), (3, 3), (4, 16), (5, 499), (6, 500), (7, 800)] {
        let key = RoutingKey::new(&Hash([seed; 32]), DAY_2026_01_01);
        let mut sorted = hashes.clone();
        sorted.sort_by_key(|h| key.distance(h));
        sorted.truncate(n);
        assert_eq!(closest(&key, hashes.iter().copied(), |h| *h, n), sorted, "n {n}");
    }
}
