// SPDX-License-Identifier: MIT

use super::*;
use crate::sam::parse::Line;

fn read(options: &str) -> Result<EncryptedOptions, String> {
    let line = format!("SESSION CREATE {options}");
    EncryptedOptions::new(&Line::new(line.as_bytes()).words().expect("reads").expect("a line").params)
}

#[test]
fn without_options_there_is_nothing() {
    assert_eq!(read("STYLE=STREAM i2cp.leaseSetType=3"), Ok(EncryptedOptions::default()));
}

#[test]
fn keys_secret_and_clients_are_read() {
    let key = |n: u8| b64::encode(&[n; 32]);
    let open = read("i2cp.leaseSetType=5 i2cp.leaseSetSecret=Z2Fyw6dvbg==").expect("reads");
    assert_eq!(
        (open.publish, open.secret.as_slice()),
        (Some(ClientAccess::Everybody), "gar\u{e7}on".as_bytes())
    );
    let dh = format!(
        "i2cp.leaseSetType=5 i2cp.leaseSetAuthType=1 i2cp.leaseSetClient.dh.0=Ym9i:{} i2cp.leaseSetClient.dh.x={}",
        key(1),
        key(2)
    );
    let expected = ClientAccess::Dh(vec![X25519Public([1; 32]), X25519Public([2; 32])]);
    assert_eq!(read(&dh).expect("reads").publish, Some(expected));
    let psk = format!("i2cp.leaseSetType=5 i2cp.leaseSetAuthType=2 i2cp.leaseSetClient.psk.0=:{}", key(3));
    let expected = ClientAccess::Psk(vec![Secret32::new([3; 32])]);
    assert_eq!(read(&psk).expect("reads").publish, Some(expected));
    let client = read(&format!("i2cp.leaseSetPrivKey={}", key(4))).expect("reads");
    assert_eq!(client.client_key.as_deref(), Some(&[4; 32]));
    assert!(!format!("{client:?}").contains("4, 4"));
}

#[test]
fn what_cannot_be_read_is_refused_so_that_nothing_is_open_by_mistake() {
    for bad in [
        "i2cp.leaseSetType=7",
        "i2cp.leaseSetType=5 i2cp.leaseSetAuthType=3",
        "i2cp.leaseSetType=5 i2cp.leaseSetAuthType=1",
        "i2cp.leaseSetType=5 i2cp.leaseSetAuthType=2 i2cp.leaseSetClient.dh.0=a:b",
        "i2cp.leaseSetType=5 i2cp.leaseSetAuthType=2 i2cp.leaseSetClient.psk.0=name:AAAA",
        "i2cp.leaseSetType=5 i2cp.leaseSetSecret=a+b",
    ] {
        assert!(read(bad).is_err(), "{bad}");
    }
    let many: String = (0..=CLIENTS_MAX)
        .map(|n| format!(" i2cp.leaseSetClient.psk.{n}=a:{}", b64::encode(&[1; 32])))
        .collect();
    assert!(read(&format!("i2cp.leaseSetType=5 i2cp.leaseSetAuthType=2{many}")).is_err());
}

#[test]
fn what_opens_those_of_others_is_left_out_when_it_cannot_be_read() {
    let read = read("i2cp.leaseSetSecret=a+b i2cp.leaseSetPrivKey=AAAA").expect("no error");
    assert_eq!(read, EncryptedOptions::default());
}
