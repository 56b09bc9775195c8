// SPDX-License-Identifier: MIT
use super::*;
use bytes::Bytes;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[test]
fn timers_fire_in_order_and_move() {
    let mut q = TimerQueue::new();
    q.set('a', Mono(5));
    q.set('b', Mono(3));
    q.set('a', Mono(1));
    q.set('c', Mono(9));
    q.cancel(&'c');
    assert_eq!(q.next(), Some(Mono(1)));
    assert_eq!(q.pop_due(Mono(0)), None);
    assert_eq!(q.pop_due(Mono(4)), Some('a'));
    assert_eq!(q.pop_due(Mono(4)), Some('b'));
    assert!(q.is_empty());
}

#[test]
fn forks_are_independent_and_repeatable() {
    let (mut a, mut b) = (Rng::from_seed(7), Rng::from_seed(7));
    assert_eq!(a.u64(), b.u64());
    let (mut x, mut y) = (a.fork("x"), b.fork("y"));
    assert_ne!(x.u64(), y.u64());
    for _ in 0..1000 {
        assert!(a.below(10) < 10);
        let n = a.between(3, 5);
        assert!((3..=5).contains(&n));
    }
}

#[tokio::test(start_paused = true)]
async fn the_clock_follows_paused_time() {
    let clock = Clock::starting_at(1_000_000);
    let start = clock.now();
    clock.sleep_until(Some(start.mono.after(Duration::from_secs(60)))).await;
    let end = clock.now();
    assert!(end.mono.since(start.mono) >= Duration::from_secs(60));
    assert_eq!(end.wall_ms - start.wall_ms, end.mono.as_millis() - start.mono.as_millis());
}

#[tokio::test]
async fn an_upload_blocks_when_full_and_rings_once() {
    let bell = Doorbell::default();
    let (mut w, t) = pipe::upload(10, Account::default(), bell.clone(), 'k');
    w.write_all(b"0123456789").await.expect("room");
    assert_eq!(bell.wait().await, vec!['k']);
    let blocked = tokio::time::timeout(Duration::from_millis(20), w.write(b"x")).await;
    assert!(blocked.is_err());
    t.answer();
    assert_eq!(t.take(4).as_deref(), Some(b"0123".as_slice()));
    assert_eq!(w.write(b"abcdef").await.expect("room"), 4);
    assert_eq!(bell.wait().await, vec!['k']);
    w.shutdown().await.expect("ends");
    let mut all = Vec::new();
    while let Some(b) = t.take(100) {
        all.extend_from_slice(&b);
    }
    assert_eq!(all, b"456789abcd");
    assert!(t.is_finished());
}

#[tokio::test]
async fn a_download_delivers_bytes_before_its_error() {
    let bell = Doorbell::default();
    let (g, mut r) = pipe::download(100, Account::default(), bell.clone(), 1u8);
    g.give(Bytes::from_static(b"hello"));
    g.fail(std::io::ErrorKind::ConnectionReset);
    let mut out = [0; 5];
    r.read_exact(&mut out).await.expect("bytes first");
    assert_eq!(&out, b"hello");
    assert_eq!(
        r.read(&mut out).await.expect_err("then the error").kind(),
        std::io::ErrorKind::ConnectionReset
    );
    drop(r);
    assert!(g.is_abandoned());
    assert_eq!(bell.wait().await, vec![1]);
}

#[tokio::test]
async fn a_stopped_group_ends_every_task() {
    let tasks = Tasks::new();
    tasks.spawn("sleeper", std::future::pending());
    tasks.spawn_core("other", std::future::pending());
    assert_eq!(tasks.len(), 2);
    tasks.stop();
    tasks.finished().await;
    assert!(tasks.is_empty());
}

#[tokio::test]
async fn z3_pipes_hold_less_when_memory_is_short_and_never_stand_still() {
    let budget = Budget::new(1 << 20);
    let bell = Doorbell::default();
    let all = budget.charge(Part::Sam, 1 << 20);
    let (mut w, t) = pipe::upload(256 * 1024, budget.account(Part::Streams), bell.clone(), 'u');
    let (g, mut r) = pipe::download(512 * 1024, budget.account(Part::Streams), bell.clone(), 'd');
    assert_eq!(w.write(&[7; 100_000]).await.expect("some room"), 16 * 1024);
    assert!(tokio::time::timeout(Duration::from_millis(20), w.write(b"x")).await.is_err());
    assert_eq!(g.room(), 16 * 1024);
    g.give(Bytes::from(vec![1; 16 * 1024]));
    assert_eq!(g.room(), 0);
    // The engine takes, the program reads: both go on, short of memory as they are.
    assert_eq!(t.take(1 << 20).map(|b| b.len()), Some(16 * 1024));
    assert_eq!(w.write(&[7; 100_000]).await.expect("room again"), 16 * 1024);
    let mut out = vec![0; 16 * 1024];
    r.read_exact(&mut out).await.expect("bytes");
    assert_eq!(g.room(), 16 * 1024);
    assert!(bell.take().contains(&'d'), "the reader rings");
    drop(all);
    assert_eq!((g.room(), budget.used()), (512 * 1024, 16 * 1024));
    assert_eq!(w.write(&[7; 300_000]).await.expect("room"), 256 * 1024 - 16 * 1024);
    drop((w, t, g, r));
    assert_eq!(budget.used(), 0);
}

#[tokio::test]
async fn z3_room_for_datagrams_ends_with_the_memory() {
    let budget = Budget::new(1_000_000);
    let room = Room::of(100_000, &budget, Part::Datagrams);
    let one = room.try_take(40_000).expect("room");
    assert_eq!(budget.used_by(Part::Datagrams), 40_000);
    assert!(room.try_take(60_001).is_none(), "one past its own bound");
    let others = budget.charge(Part::Streams, 940_000);
    assert!(!room.is_affordable());
    assert!(room.try_take(1).is_none() && room.take(1).await.is_none(), "98 percent are used");
    drop(others);
    assert!(room.take(60_000).await.is_some());
    drop(one);
    assert_eq!(budget.used(), 0);
}

#[tokio::test]
async fn z4_a_panic_costs_its_task_or_stops_the_group_and_never_hangs() {
    let tasks = Tasks::new();
    tasks.spawn("one", std::future::pending());
    tasks.spawn("other", std::future::pending());
    tasks.spawn_orderly("orderly", std::future::pending());
    tokio::task::yield_now().await;
    for (name, left) in [("nobody", 3), ("one", 2), ("orderly", 1)] {
        tasks.doom(name);
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        assert_eq!((tasks.len(), tasks.token().is_cancelled()), (left, false), "{name}");
    }
    tasks.spawn_core("core", std::future::pending());
    tokio::task::yield_now().await;
    tasks.doom("core");
    tokio::time::timeout(Duration::from_secs(2), tasks.finished()).await.expect("all tasks end");
    assert!(tasks.token().is_cancelled());
    assert_eq!(tasks.blocking("work", || 1).await, Some(1));
}

/// A hundred thousand keys that collide in a hash table of 2^17 places whose hash is the key itself times a constant.
#[test]
fn z7_keys_made_to_collide_cost_no_more_than_others() {
    const KEYS: u64 = 100_000;
    let mut rng = Rng::from_seed(7);
    // What a fast hash without a key would do: multiply and take the upper bits. These keys all fall into one place.
    const FAST: u64 = 0x9e37_79b9_7f4a_7c15;
    let inverse = (0..6).fold(FAST, |x, _| x.wrapping_mul(2u64.wrapping_sub(FAST.wrapping_mul(x))));
    let evil: Vec<u64> = (0..KEYS).map(|n| n.wrapping_mul(inverse)).collect();
    assert!(evil.iter().all(|k| k.wrapping_mul(FAST) >> 47 == 0), "the attack would work on a fast hash");
    let honest: Vec<u64> = (0..KEYS).map(|_| rng.u64()).collect();
    // Time is no measure on a shared machine: how long the chains are is.
    let mut longest = |keys: &[u64]| {
        use std::hash::BuildHasher;
        let state = KeyedState::new(&mut rng);
        let mut places = vec![0u32; 1 << 17];
        for key in keys {
            let place = usize::try_from(state.hash_one(key) >> 47).unwrap();
            places[place] += 1;
        }
        places.into_iter().max().unwrap()
    };
    let (evil, honest) = (longest(&evil), longest(&honest));
    assert!(evil <= 2 * honest, "longest chain {evil}, of honest keys {honest}");
    assert!(honest < 16);
}
