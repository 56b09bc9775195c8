// SPDX-License-Identifier: MIT
use super::*;

#[test]
fn z6_ten_lines_a_second_of_one_place_and_the_rest_is_counted() {
    let pace = Pace { clock: Clock::system(), sites: Mutex::default() };
    let (here, there) = (("a.rs", 1), ("a.rs", 2));
    for _ in 0..10 {
        assert_eq!(pace.take(here, 5), (true, 0));
    }
    for _ in 0..7 {
        assert_eq!(pace.take(here, 5), (false, 0));
    }
    assert_eq!(pace.take(there, 5), (true, 0), "other places have lines of their own");
    assert_eq!(pace.take(here, 6), (true, 7));
    assert_eq!(pace.take(here, 7), (true, 0));
}
