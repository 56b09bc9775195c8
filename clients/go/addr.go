// SPDX-License-Identifier: MIT

package sam

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/base64"
	"fmt"
	"strings"
)

var (
	b64 = base64.NewEncoding("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-~")
	b32 = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)
)

// Addr is a peer, or ourselves: a net.Addr.
type Addr struct {
	// Dest is a base64 destination, a .b32.i2p name or a host name. It is empty for raw datagrams, whose sender
	// nobody knows, and the base64 hash of the sender for DATAGRAM3, which proves nothing.
	Dest string
	// Port within the destination; 0 if the peer uses none.
	Port uint16
}

// Network is "i2p".
func (Addr) Network() string { return "i2p" }

// String gives the .b32.i2p name, or whatever stands for the peer, with the port if there is one.
func (a Addr) String() string {
	name := a.Dest
	if short, err := a.B32(); err == nil {
		name = short
	}
	if a.Port == 0 {
		return name
	}
	return fmt.Sprintf("%s:%d", name, a.Port)
}

// B32 is the .b32.i2p name: the hash of the destination.
func (a Addr) B32() (string, error) {
	if strings.HasSuffix(a.Dest, ".i2p") {
		if strings.HasSuffix(a.Dest, ".b32.i2p") {
			return a.Dest, nil
		}
		return "", fmt.Errorf("%s has to be looked up first", a.Dest)
	}
	raw, err := b64.DecodeString(a.Dest)
	switch {
	case err != nil:
		return "", err
	case len(raw) == sha256.Size: // a DATAGRAM3 sender
		return b32.EncodeToString(raw) + ".b32.i2p", nil
	case len(raw) < 387:
		return "", fmt.Errorf("a destination has at least 387 bytes, this has %d", len(raw))
	}
	hash := sha256.Sum256(raw)
	return b32.EncodeToString(hash[:]) + ".b32.i2p", nil
}

// Keys are a destination with its private half, as DEST GENERATE and SESSION CREATE give them. Whoever has Private
// is the destination: keep it in a file that nobody else can read.
type Keys struct {
	// Public is the destination.
	Public string
	// Private is what Options.Keys takes.
	Private string
}

// PublicOf cuts the destination out of private keys.
func PublicOf(private string) (string, error) {
	raw, err := b64.DecodeString(private)
	if err != nil {
		return "", err
	}
	if len(raw) < 387 {
		return "", fmt.Errorf("private keys have more than 387 bytes, these have %d", len(raw))
	}
	end := 387 + int(raw[385])<<8 + int(raw[386])
	if len(raw) < end+256 {
		return "", fmt.Errorf("private keys are cut short: %d bytes", len(raw))
	}
	return b64.EncodeToString(raw[:end]), nil
}
