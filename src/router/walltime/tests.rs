// SPDX-License-Identifier: MIT
use super::*;

const WALL: u64 = 1_777_000_000_000;

fn at(seconds: u64) -> Now {
    Now { mono: Mono::from_secs(seconds), wall_ms: WALL + seconds * 1000 }
}

fn peer(n: u8) -> RouterHash {
    RouterHash([n; 32])
}

/// A clock that was right until now and is past its first minutes.
fn settled() -> WallTime {
    let mut time = WallTime::new(at(0));
    for s in (0..=700).step_by(10) {
        assert_eq!(time.look(at(s)), None);
    }
    time
}

fn said(time: &mut WallTime, now: Now, skews: &[i64]) {
    for (n, skew) in skews.iter().enumerate() {
        time.sample(now, peer(n as u8), *skew);
    }
}

#[test]
fn k6_three_routers_move_us_and_two_do_not() {
    let mut time = settled();
    said(&mut time, at(701), &[5_000, 5_000]);
    assert_eq!(time.look(at(702)), None);
    said(&mut time, at(702), &[5_000, 5_000, 6_000]);
    assert_eq!(time.look(at(703)), Some(Step::Correct(5_000)));
    assert_eq!(time.look(at(704)), None, "and that is taken into account");
}

#[test]
fn k6_one_router_with_many_words_is_one_router() {
    let mut time = settled();
    for _ in 0..10 {
        time.sample(at(701), peer(1), 9_000);
    }
    assert_eq!(time.look(at(702)), None);
}

#[test]
fn k6_a_liar_among_three_moves_nothing() {
    let mut time = WallTime::new(at(0));
    said(&mut time, at(1), &[0, 400, 86_400_000]);
    assert_eq!(time.look(at(2)), None);
}

#[test]
fn k6_a_step_is_a_minute_at_most_and_one_a_minute() {
    let mut time = settled();
    said(&mut time, at(701), &[3_600_000; 5]);
    assert_eq!(time.look(at(702)), Some(Step::Correct(60_000)));
    let moved = |s| Now { wall_ms: at(s).wall_ms + 60_000, ..at(s) };
    assert_eq!(time.look(moved(761)), None);
    assert_eq!(time.look(moved(762)), Some(Step::Correct(60_000)), "most of the way is still to go");
}

#[test]
fn k6_at_the_start_any_step_is_taken_if_the_routers_agree() {
    let mut time = WallTime::new(at(0));
    said(&mut time, at(1), &[-86_400_000, -86_401_000, -86_399_000]);
    assert_eq!(time.look(at(2)), Some(Step::Correct(-86_400_000)));
    let mut time = WallTime::new(at(0));
    said(&mut time, at(1), &[-86_400_000, 40_000_000, 7_000_000]);
    assert_eq!(time.look(at(2)), Some(Step::Correct(60_000)), "if they do not agree, a small one");
}

#[test]
fn k6_thirty_seconds_are_no_jump_and_more_is_taken_back() {
    for (wall, step) in
        [(30_000, None), (30_001, Some(Step::Jump(-30_001))), (-3_600_000, Some(Step::Jump(3_600_000)))]
    {
        let mut time = settled();
        let mut now = at(710);
        now.wall_ms = now.wall_ms.saturating_add_signed(wall);
        assert_eq!(time.look(now), step);
    }
}

#[test]
fn k6_after_two_hours_of_sleep_the_routers_tell_the_time() {
    let mut time = settled();
    // The monotonic clock stood still.
    let mut now = at(701);
    now.wall_ms += 7_200_000;
    assert_eq!(time.look(now), Some(Step::Jump(-7_200_000)));
    let mut now = at(703);
    said(&mut time, now, &[7_201_000, 7_200_000, 7_199_000]);
    assert_eq!(time.look(now), Some(Step::Correct(7_200_000)));
    now = at(704);
    now.wall_ms += 7_200_000;
    assert_eq!(time.look(now), None, "our own step is no jump");
}

#[test]
fn k6_what_is_remembered_is_bounded_and_ends() {
    let mut time = settled();
    for n in 0..=255 {
        time.sample(at(701), peer(n), 5_000);
    }
    assert_eq!(time.samples.len(), SAMPLES_MAX);
    assert_eq!(time.look(at(1_301)), None);
    assert!(time.samples.is_empty());
}
