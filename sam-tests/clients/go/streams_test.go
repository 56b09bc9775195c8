// SPDX-License-Identifier: MIT

// Package clients tests other people's Go libraries for SAM: go-sam-go and sam3, at the two routers that SAM=host:port
// and SAM2=host:port name.
package clients

import (
	"bytes"
	"fmt"
	"io"
	"math/rand"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/eyedeekay/sam3"
	samgo "github.com/go-i2p/go-sam-go"
)

const patient = 30 * time.Second

var options = []string{"inbound.length=1", "outbound.length=1", "inbound.quantity=2", "outbound.quantity=2"}

func bridges(t *testing.T) (string, string) {
	t.Helper()
	near, far := os.Getenv("SAM"), os.Getenv("SAM2")
	if near != "" && far != "" {
		return near, far
	}
	why := "LEFT OUT: SAM=host:port and SAM2=host:port name no routers; `make clients-go` starts two"
	if os.Getenv("CI") == "true" {
		t.Fatal(why)
	}
	t.Skip(why)
	return "", ""
}

func must[T any](value T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}

var ids atomic.Int32

func newID() string { return fmt.Sprintf("go-%d-%d", os.Getpid(), ids.Add(1)) }

func noise(size int) []byte {
	data := make([]byte, size)
	rand.New(rand.NewSource(int64(size))).Read(data)
	return data
}

// streams is what both libraries can do, without their types.
type streams struct {
	base64, base32 string
	dial           func(dest string) (net.Conn, error)
	listen         func() (net.Listener, error)
	lookup         func(name string) (string, error)
	create         func(id string, sameKeys bool) error
	id             string
	noBase64       bool // cannot dial by destination
}

func withGoSamGo(t *testing.T, bridge string) streams {
	t.Helper()
	open := func() *samgo.SAM {
		sam := must(samgo.NewSAM(bridge))(t)
		t.Cleanup(func() { _ = sam.Close() })
		return sam
	}
	sam, id := open(), newID()
	keys := must(sam.NewKeys())(t)
	session := must(sam.NewStreamSession(id, keys, options))(t)
	t.Cleanup(func() { _ = session.Close() })
	return streams{
		base64: keys.Addr().Base64(), base32: keys.Addr().Base32(), id: id,
		dial: func(dest string) (net.Conn, error) {
			conn, err := session.Dial(dest)
			if err != nil {
				return nil, err
			}
			return conn, nil
		},
		listen: func() (net.Listener, error) { return session.Listen() },
		lookup: func(name string) (string, error) {
			addr, err := open().Lookup(name)
			return addr.Base64(), err
		},
		create: func(id string, sameKeys bool) error {
			sam, use := open(), keys
			if !sameKeys {
				use = must(sam.NewKeys())(t)
			}
			_, err := sam.NewStreamSession(id, use, options)
			return err
		},
	}
}

func withSam3(t *testing.T, bridge string) streams {
	t.Helper()
	open := func() *sam3.SAM {
		sam := must(sam3.NewSAM(bridge))(t)
		t.Cleanup(func() { _ = sam.Close() })
		// sam3 forgets the address that it was given, and takes 127.0.0.1:7656 for its streams.
		sam.Config.I2PConfig.SamHost, sam.Config.I2PConfig.SamPort, _ = net.SplitHostPort(bridge)
		return sam
	}
	sam, id := open(), newID()
	keys := must(sam.NewKeys(sam3.Sig_EdDSA_SHA512_Ed25519))(t)
	session := must(sam.NewStreamSession(id, keys, options))(t)
	t.Cleanup(func() { _ = session.Close() })
	return streams{
		base64: keys.Addr().Base64(), base32: keys.Addr().Base32(), id: id,
		noBase64: true, // it encodes what is encoded already
		dial:     func(dest string) (net.Conn, error) { return session.Dial("i2p", dest) },
		listen:   func() (net.Listener, error) { return session.Listen() },
		lookup: func(name string) (string, error) {
			addr, err := open().Lookup(name)
			return addr.Base64(), err
		},
		create: func(id string, sameKeys bool) error {
			sam, use := open(), keys
			if !sameKeys {
				use = must(sam.NewKeys(sam3.Sig_EdDSA_SHA512_Ed25519))(t)
			}
			_, err := sam.NewStreamSession(id, use, options)
			return err
		},
	}
}

// each runs a test with both libraries.
func each(t *testing.T, test func(t *testing.T, open func(*testing.T, string) streams)) {
	t.Run("go-sam-go", func(t *testing.T) { test(t, withGoSamGo) })
	t.Run("sam3", func(t *testing.T) { test(t, withSam3) })
}

// serve echoes.
func serve(t *testing.T, listener net.Listener) {
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				_, _ = io.Copy(conn, conn)
				_ = conn.Close()
			}()
		}
	}()
	t.Cleanup(func() { _ = listener.Close() })
}

// dial waits before and after. Both libraries read an answer of the bridge with one big read and throw away what came
// in the same piece: the line that names a peer who calls before ACCEPT, and the first bytes of a quick peer.
func dial(t *testing.T, client streams, dest string) net.Conn {
	t.Helper()
	time.Sleep(300 * time.Millisecond)
	conn := must(client.dial(dest))(t)
	time.Sleep(300 * time.Millisecond)
	_ = conn.SetDeadline(time.Now().Add(patient))
	return conn
}

func TestEcho(t *testing.T) {
	each(t, func(t *testing.T, open func(*testing.T, string) streams) {
		near, far := bridges(t)
		client, server := open(t, near), open(t, far)
		serve(t, must(server.listen())(t))
		for name, dest := range map[string]string{"base32": server.base32, "base64": server.base64} {
			if name == "base64" && client.noBase64 {
				continue
			}
			for _, size := range []int{1, 1 << 20} { // 1 MiB there and back again
				conn := dial(t, client, dest)
				data := noise(size)
				go func() { _, _ = conn.Write(data) }()
				got := make([]byte, size)
				if _, err := io.ReadFull(conn, got); err != nil || !bytes.Equal(got, data) {
					t.Errorf("%s, %d bytes: %v", name, size, err)
				}
				_ = conn.Close()
			}
		}
	})
}

func TestLookups(t *testing.T) {
	each(t, func(t *testing.T, open func(*testing.T, string) streams) {
		near, far := bridges(t)
		client, server := open(t, near), open(t, far)
		if found, err := client.lookup(server.base32); err != nil || found != server.base64 {
			t.Errorf("%.40q, %v", found, err)
		}
		if found, err := client.lookup("no-such-host-here.i2p"); err == nil {
			t.Errorf("found %.40q", found)
		}
	})
}

func TestErrors(t *testing.T) {
	each(t, func(t *testing.T, open func(*testing.T, string) streams) {
		near, _ := bridges(t)
		client := open(t, near)
		for name, try := range map[string]struct {
			err  error
			word string // both libraries have words of their own for the codes that they know
		}{
			"same ID":   {client.create(client.id, false), "uplicate"},
			"same keys": {client.create(newID(), true), "uplicate"},
			"nobody": {func() error {
				_, err := client.dial(strings.Repeat("a", 52) + ".b32.i2p")
				return err
			}(), ""},
		} {
			if try.err == nil || !strings.Contains(try.err.Error(), try.word) {
				t.Errorf("%s: %v", name, try.err)
			}
		}
	})
}
