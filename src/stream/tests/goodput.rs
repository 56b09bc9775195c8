// SPDX-License-Identifier: MIT
//! How fast a stream is, in virtual time. Bounds are far below what we see: they catch collapse, not drift.
use super::world::*;
use std::time::Duration;

/// Bytes per second of a transfer of `size` bytes.
fn goodput(path: Path, size: usize, streams: u64) -> f64 {
    let mut w = World::new(42, path);
    for n in 0..streams {
        w.connect(App { outgoing: noise(n, size), ..App::default() });
    }
    let start = w.now.mono;
    let done = w.run(Duration::from_secs(2000), |w| {
        w.sides[1].apps.values().filter(|a| a.received.len() == size).count() as u64 == streams
    });
    assert!(done, "{path:?}");
    let seconds = w.now.mono.since(start).as_secs_f64();
    size as f64 * streams as f64 / seconds
}

#[test]
fn goodput_is_sane_at_every_distance() {
    // (round trip ms, loss per mille, bottleneck packets/s, bytes, least bytes/s)
    let table = [
        (1, 0, 0, 5 << 20, 20e6),
        (1, 20, 0, 5 << 20, 10e6),
        (5, 0, 10_000, 5 << 20, 8e6),
        (5, 20, 10_000, 5 << 20, 5e6),
        (100, 0, 0, 10 << 20, 2e6),
        (100, 20, 0, 10 << 20, 1e6),
        (100, 0, 500, 10 << 20, 600e3),
        (100, 20, 500, 10 << 20, 400e3),
        (1000, 0, 0, 10 << 20, 300e3),
        (1000, 20, 0, 10 << 20, 150e3),
        (1000, 20, 200, 5 << 20, 100e3),
        (500, 50, 0, 5 << 20, 100e3),
    ];
    let mut report = String::new();
    let mut failed = false;
    for (rtt_ms, loss, rate, size, least) in table {
        let delay = Duration::from_micros(rtt_ms * 500);
        let path = Path { delay, loss, rate, queue: 100, ..Path::clean(0) };
        let got = goodput(path, size, 1);
        failed |= got < least;
        report += &format!(
            "rtt {rtt_ms:>4} ms  loss {:>3.1} %  bottleneck {rate:>5}/s  {:>9.1} KB/s\n",
            loss as f64 / 10.0,
            got / 1e3
        );
    }
    eprintln!("{report}");
    assert!(!failed, "{report}");
}

#[test]
fn jitter_does_not_stop_a_stream() {
    let path = Path {
        jitter: Duration::from_millis(300),
        reorder: true,
        loss: 10,
        delay: Duration::from_millis(300),
        ..Path::clean(0)
    };
    let got = goodput(path, 5 << 20, 1);
    eprintln!("300-600 ms each way, reordered, 1 %: {:.1} KB/s", got / 1e3);
    assert!(got > 50e3, "{got}");
}

#[test]
fn streams_share_a_bottleneck() {
    let path = Path { delay: Duration::from_millis(50), rate: 1000, queue: 100, ..Path::clean(0) };
    let got = goodput(path, 2 << 20, 4);
    eprintln!("4 streams over 1000 packets/s: {:.1} KB/s", got / 1e3);
    assert!(got > 1.0e6, "{got}");
}
