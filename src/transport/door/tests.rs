// SPDX-License-Identifier: MIT
use super::*;
use std::net::Ipv4Addr;

fn door() -> Door {
    let rates = Rates { address: (5, 20), strangers: (500, 1_000), known: (200, 400) };
    Door::new(rates, &mut Rng::from_seed(1))
}

fn v4(n: u32) -> IpAddr {
    IpAddr::V4(Ipv4Addr::from(0x0900_0000 + n))
}

#[test]
fn n1_one_address_has_its_burst_and_its_rate() {
    let mut door = door();
    let at = Mono::from_secs(10);
    assert_eq!((0..100).filter(|_| door.admit(at, v4(1))).count(), 20);
    assert_eq!((0..100).filter(|_| door.admit(at.after(Duration::from_secs(1)), v4(1))).count(), 5);
    assert!(door.admit(at, v4(2)), "another address is not affected");
}

#[test]
fn n1_a_slash_64_is_one_address() {
    let mut door = door();
    let at = Mono::from_secs(10);
    let ip = |d: u16, h: u16| IpAddr::V6(Ipv6Addr::new(0x2001, 0x470, 1, d, 0, 0, 0, h));
    assert_eq!((0..100).filter(|n| door.admit(at, ip(1, *n))).count(), 20);
    assert!(door.admit(at, ip(2, 1)));
}

#[test]
fn n5_strangers_from_everywhere_share_a_rate_that_known_routers_do_not_need() {
    let mut door = door();
    let mut at = Mono::from_secs(10);
    let friend = v4(0xff_ffff);
    door.met(at, friend);
    let (mut strangers, mut friends) = (0, 0);
    for n in 0..20_000u32 {
        at = at.after(Duration::from_micros(500));
        strangers += u32::from(door.admit(at, v4(n)));
        if n % 1_000 == 0 {
            friends += u32::from(door.admit(at, friend));
        }
    }
    assert_eq!(friends, 20, "every call of a known router is taken");
    assert!((5_900..6_100).contains(&strangers), "10 s at 500, and the burst: {strangers}");
    assert_eq!(door.remembered(), (ADDRESSES_MAX, ADDRESSES_MAX, 1));
    door.sweep(at.after(FORGET));
    assert_eq!(door.remembered(), (0, 0, 1));
}

#[test]
fn n1_a_newcomer_has_a_chance_when_rates_of_thousands_are_remembered() {
    let mut door = door();
    let at = Mono::from_secs(10);
    (0..ADDRESSES_MAX as u32 + 1).for_each(|n| {
        door.admit(at, v4(n));
    });
    assert!(door.admit(at.after(Duration::from_secs(1)), v4(1 << 20)));
    assert_eq!(door.remembered().0, ADDRESSES_MAX);
}

#[test]
fn n1_known_addresses_are_bounded_and_the_oldest_goes() {
    let mut door = door();
    for n in 0..=KNOWN_MAX as u32 {
        door.met(Mono::from_millis(u64::from(n)), v4(n));
    }
    assert_eq!(door.remembered().2, KNOWN_MAX);
    assert!(!door.known.contains_key(&v4(0)));
    assert!(door.known.contains_key(&v4(1)));
}
