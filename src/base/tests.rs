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
    let (mut w, t) = pipe::upload(10, bell.clone(), 'k');
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
    let (g, mut r) = pipe::download(100, bell.clone(), 1u8);
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
