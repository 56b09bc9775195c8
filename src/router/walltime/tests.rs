// SPDX-License-Identifier: MIT
use super::*;

const WALL: u64 = 1_777_000_000_000;
const AWAKE: Duration = Duration::ZERO;

fn at(seconds: u64) -> Now {
    Now { mono: Mono::from_secs(seconds), wall_ms: WALL + seconds * 1000 }
}

fn peer(n: u8) -> RouterHash {
    RouterHash([n; 32])
}

/// A clock that was right until now and is past its first minutes.
fn settled() -> WallTime {
    let mut time = WallTime::new(at(0), AWAKE);
    for s in (0..=700).step_by(10) {
        assert_eq!(time.look(at(s), AWAKE), None);
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
    assert_eq!(time.look(at(702), AWAKE), None);
    said(&mut time, at(702), &[5_000, 5_000, 6_000]);
    assert_eq!(time.look(at(703), AWAKE), Some(Step::Correct(5_000)));
    assert_eq!(time.look(at(704), AWAKE), None, "and that is taken into account");
}

#[test]
fn k6_one_router_with_many_words_is_one_router() {
    let mut time = settled();
    for _ in 0..10 {
        time.sample(at(701), peer(1), 9_000);
    }
    assert_eq!(time.look(at(702), AWAKE), None);
}

#[test]
fn k6_a_liar_among_three_moves_nothing() {
    let mut time = WallTime::new(at(0), AWAKE);
    said(&mut time, at(1), &[0, 400, 86_400_000]);
    assert_eq!(time.look(at(2), AWAKE), None);
}

#[test]
fn k6_a_step_is_a_minute_at_most_and_one_a_minute() {
    let mut time = settled();
    said(&mut time, at(701), &[3_600_000; 5]);
    assert_eq!(time.look(at(702), AWAKE), Some(Step::Correct(60_000)));
    let moved = |s| Now { wall_ms: at(s).wall_ms + 60_000, ..at(s) };
    assert_eq!(time.look(moved(761), AWAKE), None);
    assert_eq!(time.look(moved(762), AWAKE), Some(Step::Correct(60_000)), "most of the way is still to go");
}

#[test]
fn k6_at_the_start_any_step_is_taken_if_the_routers_agree() {
    let mut time = WallTime::new(at(0), AWAKE);
    said(&mut time, at(1), &[-86_400_000, -86_401_000, -86_399_000]);
    // Of the two in the middle, our own 0 counted, that which moves us less.
    assert_eq!(time.look(at(2), AWAKE), Some(Step::Correct(-86_399_000)));
    let mut time = WallTime::new(at(0), AWAKE);
    said(&mut time, at(1), &[-86_400_000, 40_000_000, 7_000_000]);
    assert_eq!(time.look(at(2), AWAKE), None, "if they do not agree, none");
}

#[test]
fn k6_thirty_seconds_are_no_jump_and_more_is_taken_back() {
    for (wall, step) in
        [(30_000, None), (30_001, Some(Step::Jump(-30_001))), (-3_600_000, Some(Step::Jump(3_600_000)))]
    {
        let mut time = settled();
        let mut now = at(710);
        now.wall_ms = now.wall_ms.saturating_add_signed(wall);
        assert_eq!(time.look(now, AWAKE), step);
    }
}

#[test]
fn k6_after_sleep_the_machine_s_clock_is_believed_at_once() {
    const NIGHT: Duration = Duration::from_secs(7200);
    let mut time = settled();
    // The monotonic clock stood still.
    let mut now = at(701);
    now.wall_ms += 7_200_000;
    assert_eq!(time.woke(now, NIGHT), Some(NIGHT));
    assert_eq!(time.look(now, NIGHT), Some(Step::Slept(NIGHT)));
    assert_eq!(time.woke(now, NIGHT), None);
    // Others that slept as well and believe themselves two hours back do not move us, unless they are the most.
    now = at(703);
    now.wall_ms += 7_200_000;
    said(&mut time, now, &[-7_200_000, 0, 1_000, -7_201_000]);
    assert_eq!(time.look(now, NIGHT), None);
    // They may if they agree: the battery of the clock is empty, say.
    said(&mut time, now, &[-3_600_000, -3_601_000, -3_600_000, -3_600_000]);
    assert_eq!(time.look(now, NIGHT), Some(Step::Correct(-3_600_000)));
}

#[test]
fn k6_a_monotonic_clock_that_goes_on_in_sleep_shows_it_by_a_late_look() {
    let mut time = settled();
    assert_eq!(time.look(at(820), AWAKE), None, "busy for two minutes");
    assert_eq!(time.look(at(8_020), AWAKE), Some(Step::Slept(Duration::from_secs(7200))));
    // The same while the wall clock stood still or was set: it is what the machine has.
    let mut now = at(16_000);
    now.wall_ms -= 7_980_000;
    assert_eq!(time.look(now, AWAKE), Some(Step::Slept(Duration::from_secs(7980))));
}

#[test]
fn k6_a_clock_that_is_set_with_half_a_minute_of_sleep_is_a_jump() {
    let nap = Duration::from_secs(30);
    let mut time = settled();
    let mut now = at(701);
    now.wall_ms += 30_000;
    assert_eq!(time.look(now, nap), None, "so short a sleep is none");
    let (mut now, slept) = (at(702), nap * 2);
    now.wall_ms += 3_660_000;
    assert_eq!(time.look(now, slept), Some(Step::Jump(-3_600_000)));
}

#[test]
fn k6_few_liars_move_nothing_and_routers_that_disagree_neither() {
    const LIE: i64 = 50_000;
    let mut time = settled();
    said(&mut time, at(701), &[LIE, LIE, 0]);
    assert_eq!(time.look(at(702), AWAKE), None, "two of three, against one and ourselves");
    said(&mut time, at(702), &[LIE, LIE, LIE, LIE, 0, 0, 1_000, 0, -1_000]);
    assert_eq!(time.look(at(703), AWAKE), None, "four of nine");
    let mut time = settled();
    said(&mut time, at(701), &[100_000, 200_000, 300_000, 400_000, 500_000]);
    assert_eq!(time.look(at(702), AWAKE), None);
}

#[test]
fn k6_what_is_remembered_is_bounded_and_ends() {
    let mut time = settled();
    for n in 0..=255 {
        time.sample(at(701), peer(n), 5_000);
    }
    assert_eq!(time.samples.len(), SAMPLES_MAX);
    time.stepped = Some(at(1_300).mono);
    for s in (702..=1_301).step_by(60).chain([1_301]) {
        assert_eq!(time.look(at(s), AWAKE), None);
    }
    assert!(time.samples.is_empty());
}
