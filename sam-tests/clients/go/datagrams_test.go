// SPDX-License-Identifier: MIT

package clients

import (
	"bytes"
	"net"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/eyedeekay/sam3"
	samgo "github.com/go-i2p/go-sam-go"
)

// datagrams sends to the peer, and receives: the sender is empty if the style does not tell.
type datagrams struct {
	base64  string
	send    func(payload []byte) error
	receive func() (payload []byte, from string, err error)
}

// exchange sends until one arrives: datagrams may be lost.
func exchange(t *testing.T, from, to datagrams, payload []byte, knows bool) {
	t.Helper()
	type result struct {
		payload []byte
		from    string
		err     error
	}
	came := make(chan result, 100)
	go func() {
		for {
			payload, from, err := to.receive()
			came <- result{payload, from, err}
			if err != nil {
				return
			}
		}
	}()
	for range 20 {
		if err := from.send(payload); err != nil {
			t.Fatal(err)
		}
		select {
		case got := <-came:
			if got.err != nil || !bytes.Equal(got.payload, payload) || knows && got.from != from.base64 {
				t.Fatalf("%d bytes of %d from %.40q, %v", len(got.payload), len(payload), got.from, got.err)
			}
			return
		case <-time.After(2 * time.Second):
		}
	}
	t.Fatal("none of 20 datagrams arrived")
}

func TestDatagramsOfGoSamGo(t *testing.T) {
	near, far := bridges(t)
	for _, bridge := range []string{near, far} {
		if _, port, _ := net.SplitHostPort(bridge); port != "7656" {
			why := "LEFT OUT: go-sam-go sends datagrams to port 7655 alone, that is to bridges at port 7656"
			if os.Getenv("CI") == "true" {
				t.Fatal(why)
			}
			t.Skip(why)
		}
	}
	open := func(t *testing.T, bridge string) (*samgo.DatagramSession, string) {
		sam := must(samgo.NewSAM(bridge))(t)
		keys := must(sam.NewKeys())(t)
		session := must(sam.NewDatagramSession(newID(), keys, options, 0))(t)
		t.Cleanup(func() { _ = session.Close() })
		return session, keys.Addr().Base64()
	}
	a, name := open(t, near)
	b, _ := open(t, far)
	exchange(t, datagrams{base64: name, send: func(p []byte) error { return a.SendDatagram(p, b.Addr()) }},
		datagrams{receive: func() ([]byte, string, error) {
			got, err := b.ReceiveDatagram()
			if err != nil {
				return nil, "", err
			}
			return got.Data, got.Source.Base64(), nil
		}}, noise(5000), true)
}

func TestRawDatagramsOfSam3(t *testing.T) {
	near, far := bridges(t)
	open := func(bridge string) *sam3.RawSession {
		sam := must(sam3.NewSAM(bridge))(t)
		keys := must(sam.NewKeys(sam3.Sig_EdDSA_SHA512_Ed25519))(t)
		// sam3 writes PORT= right behind the last option, so that must be an empty one, and behind its own
		// i2cp.leaseSetEncType if there is none.
		spaced := append(append([]string{}, options...), "i2cp.leaseSetEncType=4", "")
		session := must(sam.NewRawSession(newID(), keys, spaced, udpPort(t, bridge)))(t)
		t.Cleanup(func() { _ = session.Close() })
		return session
	}
	a, b := open(near), open(far)
	exchange(t, datagrams{send: func(p []byte) error {
		_, err := a.WriteTo(p, b.LocalAddr())
		return err
	}}, datagrams{receive: func() ([]byte, string, error) {
		buffer := make([]byte, 32*1024)
		n, err := b.Read(buffer)
		return buffer[:n], "", err
	}}, noise(5000), false)
}

func TestDatagramsOfSam3(t *testing.T) {
	near, far := bridges(t)
	open := func(bridge string) *sam3.DatagramSession {
		sam := must(sam3.NewSAM(bridge))(t)
		keys := must(sam.NewKeys(sam3.Sig_EdDSA_SHA512_Ed25519))(t)
		session := must(sam.NewDatagramSession(newID(), keys, options, udpPort(t, bridge)))(t)
		t.Cleanup(func() { _ = session.Close() })
		return session
	}
	a, b := open(near), open(far)
	exchange(t, datagrams{base64: a.LocalI2PAddr().Base64(), send: func(p []byte) error {
		_, err := a.WriteTo(p, b.LocalI2PAddr())
		return err
	}}, datagrams{receive: func() ([]byte, string, error) {
		buffer := make([]byte, 32*1024)
		n, from, err := b.ReadFrom(buffer)
		if err != nil {
			return nil, "", err
		}
		return buffer[:n], from.(interface{ Base64() string }).Base64(), nil
	}}, noise(5000), true)
}

// udpPort is the one below that of the bridge.
func udpPort(t *testing.T, bridge string) int {
	t.Helper()
	_, port, err := net.SplitHostPort(bridge)
	if err != nil {
		t.Fatal(err)
	}
	return must(strconv.Atoi(port))(t) - 1
}
