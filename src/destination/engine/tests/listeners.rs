// SPDX-License-Identifier: MIT
use super::*;
use crate::destination::ports::ports;

/// A pair whose second side takes streams only by listeners.
fn pair() -> Pair {
    let mut pair = Pair::with(7, |n, config| config.streams_by_listener = n == 1);
    pair.introduce(0);
    pair
}

#[test]
fn streams_go_to_the_listener_of_their_port_and_are_reset_without_one() {
    let mut pair = pair();
    let (handle, task) = ports(&Budget::default(), &Limits::default());
    let refused = pair.connect(0, 80).expect_err("nobody listens");
    assert_eq!(refused.kind(), ErrorKind::Refused);

    let id = handle.listen(80).expect("free");
    assert!(handle.listen(80).is_err_and(|e| e.kind() == ErrorKind::PortTaken));
    pair.sides[1].set_bindings(pair.now, task.table.borrow().clone());
    let _near = pair.connect(0, 80).expect("connects");
    assert!(pair.sides[1].take_incoming(pair.now, Wanted::Of(0)).is_none(), "not for the others");
    assert!(pair.sides[1].take_incoming(pair.now, Wanted::Of(80)).is_some());
    assert_eq!(pair.connect(0, 81).expect_err("another port").kind(), ErrorKind::Refused);

    handle.listen(0).expect("free");
    pair.sides[1].set_bindings(pair.now, task.table.borrow().clone());
    let _near = pair.connect(0, 81).expect("all other ports");
    assert!(pair.sides[1].take_incoming(pair.now, Wanted::Of(80)).is_none());
    assert!(pair.sides[1].take_incoming(pair.now, Wanted::Of(0)).is_some());

    handle.unlisten(80, id);
    pair.sides[1].set_bindings(pair.now, task.table.borrow().clone());
    let _near = pair.connect(0, 80).expect("port 0 takes it now");
    assert!(pair.sides[1].take_incoming(pair.now, Wanted::Of(0)).is_some());
}

#[test]
fn who_waits_for_a_listener_that_goes_is_reset() {
    let mut pair = pair();
    let (handle, task) = ports(&Budget::default(), &Limits::default());
    let id = handle.listen(80).expect("free");
    pair.sides[1].set_bindings(pair.now, task.table.borrow().clone());
    let mut near = pair.connect(0, 80).expect("connects");
    handle.unlisten(80, id);
    // The port is taken anew before the engine has looked.
    handle.listen(80).expect("free again");
    pair.sides[1].set_bindings(pair.now, task.table.borrow().clone());
    assert_eq!(pair.sides[1].waiting_peers(), 0);
    let (mut got, mut end) = (Vec::new(), None);
    assert!(pair.run(Duration::from_secs(10), |_| {
        end = end.take().or_else(|| read(&mut near, &mut got));
        end.is_some()
    }));
    assert!(end.is_some_and(|e| e.is_err()));
    let _near = pair.connect(0, 80).expect("the new listener takes it");
}
