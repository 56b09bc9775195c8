// SPDX-License-Identifier: MIT

package sam

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	mib     = 1 << 20
	patient = 2 * time.Minute
)

var short = map[string]string{
	"inbound.length": "1", "outbound.length": "1", "inbound.quantity": "2", "outbound.quantity": "2",
}

// bridges gives clients of two routers, which SAM=host:port and SAM2=host:port name.
func bridges(t *testing.T) (*Client, *Client) {
	t.Helper()
	first, other := os.Getenv("SAM"), os.Getenv("SAM2")
	if first == "" {
		why := "LEFT OUT: no router; SAM=host:port and SAM2=host:port name two, `make clients-go` starts them"
		if os.Getenv("CI") == "true" {
			t.Fatal(why)
		}
		t.Skip(why)
	}
	if other == "" {
		other = first
	}
	return New(Config{Address: first}), New(Config{Address: other})
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

// two gives a session at each router.
func two(t *testing.T, ctx context.Context) (*StreamSession, *StreamSession) {
	t.Helper()
	near, far := bridges(t)
	var sessions [2]*StreamSession
	var errs [2]error
	var wait sync.WaitGroup
	for i, client := range []*Client{near, far} {
		wait.Add(1)
		go func() {
			defer wait.Done()
			sessions[i], errs[i] = client.OpenStream(ctx, Options{Router: short})
		}()
	}
	wait.Wait()
	for _, session := range sessions {
		if session != nil {
			t.Cleanup(func() { _ = session.Close() })
		}
	}
	if err := errors.Join(errs[:]...); err != nil {
		t.Fatal(err)
	}
	return sessions[0], sessions[1]
}

func noise(size int) []byte {
	data := make([]byte, size)
	rand.New(rand.NewSource(int64(size))).Read(data)
	return data
}

// pair gives both ends of a stream.
func pair(t *testing.T, ctx context.Context) (*Conn, *Conn) {
	t.Helper()
	near, far := two(t, ctx)
	taken := make(chan *Conn, 1)
	go func() {
		conn, err := far.Listen().AcceptContext(ctx)
		if err != nil {
			t.Error(err)
		}
		taken <- conn
	}()
	out := must(near.DialAddr(ctx, far.Addr()))(t)
	in := <-taken
	if in == nil {
		t.FailNow()
	}
	t.Cleanup(func() { _, _ = out.Close(), in.Close() })
	for _, conn := range []*Conn{out, in} {
		_ = conn.SetDeadline(time.Now().Add(patient))
	}
	if in.RemoteAddr().(Addr).Dest != near.Addr().Dest {
		t.Errorf("the peer is %v, not %v", in.RemoteAddr(), near.Addr())
	}
	return out, in
}

func TestNetworkOneMiBBothWays(t *testing.T) {
	out, in := pair(t, within(t, patient))
	var wait sync.WaitGroup
	for _, way := range [][2]*Conn{{out, in}, {in, out}} {
		data := noise(mib)
		wait.Add(2)
		go func() {
			defer wait.Done()
			if _, err := way[0].Write(data); err != nil {
				t.Error(err)
			}
			if err := way[0].CloseWrite(); err != nil {
				t.Error(err)
			}
		}()
		go func() {
			defer wait.Done()
			got, err := io.ReadAll(way[1])
			if err != nil || !bytes.Equal(got, data) {
				t.Errorf("%d bytes of %d, %v", len(got), len(data), err)
			}
		}()
	}
	wait.Wait()
}

func TestNetworkHalfClose(t *testing.T) {
	out, in := pair(t, within(t, patient))
	if _, err := out.Write([]byte("question")); err != nil {
		t.Fatal(err)
	}
	if err := out.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(in); err != nil || string(got) != "question" {
		t.Fatalf("%q, %v", got, err)
	}
	answer := noise(100_000)
	if _, err := in.Write(answer); err != nil {
		t.Fatal(err)
	}
	_ = in.Close()
	if got, err := io.ReadAll(out); err != nil || !bytes.Equal(got, answer) {
		t.Errorf("%d bytes after the half-close, %v", len(got), err)
	}
}

func TestNetworkManyAtOneListener(t *testing.T) {
	ctx := within(t, patient)
	near, far := two(t, ctx)
	listener := far.Listen()
	const count = 6
	for range 3 { // several wait in Accept at once
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
	}
	var wait sync.WaitGroup
	for i := range count {
		wait.Add(1)
		go func() {
			defer wait.Done()
			conn, err := near.DialAddr(ctx, far.Addr())
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			_ = conn.SetDeadline(time.Now().Add(patient))
			data := noise(10_000 + i)
			go func() {
				_, _ = conn.Write(data)
				_ = conn.CloseWrite()
			}()
			if got, err := io.ReadAll(conn); err != nil || !bytes.Equal(got, data) {
				t.Errorf("%d: %d bytes, %v", i, len(got), err)
			}
		}()
	}
	wait.Wait()
	_ = listener.Close()
}

func TestNetworkHTTP(t *testing.T) {
	ctx := within(t, patient)
	near, far := two(t, ctx)
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s from %s", r.URL.Path, r.RemoteAddr)
	})}
	go server.Serve(far.Listen())
	defer server.Close()
	transport := &http.Transport{DialContext: near.DialContext}
	defer transport.CloseIdleConnections()
	name := must(far.Addr().B32())(t)
	request := must(http.NewRequestWithContext(ctx, "GET", "http://"+name+"/page", nil))(t)
	answer := must((&http.Client{Transport: transport}).Do(request))(t)
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if want := "/page from " + near.Addr().String(); err != nil || !strings.HasPrefix(string(body), want) {
		t.Errorf("%q, %v", body, err)
	}
}

func TestNetworkForward(t *testing.T) {
	ctx := within(t, patient)
	near, far := two(t, ctx)
	server := must(net.Listen("tcp", "127.0.0.1:0"))(t)
	defer server.Close()
	go func() {
		for {
			conn, err := server.Accept()
			if err != nil {
				return
			}
			go func() {
				_, _ = io.Copy(conn, conn) // the first line says who it is
				_ = conn.Close()
			}()
		}
	}()
	forward := must(far.Forward(ctx, "127.0.0.1", uint16(server.Addr().(*net.TCPAddr).Port), false))(t)
	conn := must(near.DialAddr(ctx, far.Addr()))(t)
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patient))
	_, _ = conn.Write([]byte("hello"))
	_ = conn.CloseWrite()
	got, err := io.ReadAll(conn)
	if err != nil || !strings.HasPrefix(string(got), near.Addr().Dest) || !strings.HasSuffix(string(got), "\nhello") {
		t.Errorf("%.60q, %v", got, err)
	}
	if err := forward.Close(); err != nil {
		t.Error(err)
	}
}

// exchange sends until one arrives: datagrams may be lost. It gives the sender.
func exchange(t *testing.T, from, to *DatagramSession, peer Addr, payload []byte) Addr {
	t.Helper()
	buffer := make([]byte, 64*1024)
	for range 20 {
		if n, err := from.WriteTo(payload, peer); err != nil || n != len(payload) {
			t.Fatalf("sent %d bytes, %v", n, err)
		}
		for {
			_ = to.SetReadDeadline(time.Now().Add(2 * time.Second))
			n, sender, err := to.ReadFrom(buffer)
			if errors.Is(err, os.ErrDeadlineExceeded) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if bytes.Equal(buffer[:n], payload) {
				return sender.(Addr)
			}
		}
	}
	t.Fatalf("none of 20 datagrams of %d bytes arrived", len(payload))
	return Addr{}
}

// knows checks what a style says about the sender.
func knows(t *testing.T, style Style, sender Addr, real Addr) {
	t.Helper()
	want := real.Dest
	switch style {
	case Raw:
		want = ""
	case Datagram3:
		if len(sender.Dest) != 44 {
			t.Errorf("DATAGRAM3 from %q", sender.Dest)
		}
		sender.Dest, want = must(sender.B32())(t), must(real.B32())(t)
	}
	if sender.Dest != want {
		t.Errorf("from %.60q, not %.60q", sender.Dest, want)
	}
}

func TestNetworkDatagrams(t *testing.T) {
	near, far := bridges(t)
	for _, style := range []Style{Datagram, Datagram2, Datagram3, Raw} {
		for _, over := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/control=%v", style, over), func(t *testing.T) {
				ctx := within(t, patient)
				o := DatagramOptions{Style: style, OverControl: over}
				o.Router = short
				a := must(near.OpenDatagram(ctx, o))(t)
				defer a.Close()
				b := must(far.OpenDatagram(ctx, o))(t)
				defer b.Close()
				knows(t, style, exchange(t, a, b, b.Addr(), []byte("one\nline and more")), a.Addr())
				knows(t, style, exchange(t, b, a, a.Addr(), noise(10_000)), b.Addr())
				_ = a.Close()
				if _, _, err := a.ReadFrom(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
					t.Errorf("ReadFrom after Close: %v", err)
				}
			})
		}
	}
}

func TestNetworkPrimary(t *testing.T) {
	ctx := within(t, patient)
	near, far := bridges(t)
	a := must(near.OpenPrimary(ctx, Options{Router: short}))(t)
	defer a.Close()
	b := must(far.OpenPrimary(ctx, Options{Router: short}))(t)
	defer b.Close()

	calls := must(a.AddStream(ctx, Options{}))(t)
	plain := must(b.AddStream(ctx, Options{}))(t)
	web := must(b.AddStream(ctx, Options{FromPort: 80}))(t)
	for port, session := range map[uint16]*StreamSession{0: plain, 80: web} {
		go func() {
			conn, err := session.Listen().AcceptContext(ctx)
			if err != nil {
				t.Error(err)
				return
			}
			fmt.Fprintf(conn, "this is %d", port)
			_ = conn.Close()
		}()
		conn := must(calls.DialAddr(ctx, Addr{b.Addr().Dest, port}))(t)
		_ = conn.SetDeadline(time.Now().Add(patient))
		if got, err := io.ReadAll(conn); err != nil || string(got) != fmt.Sprintf("this is %d", port) {
			t.Errorf("port %d: %q, %v", port, got, err)
		}
		_ = conn.Close()
	}

	for _, style := range []Style{Datagram, Datagram2, Datagram3, Raw} {
		o := DatagramOptions{Style: style}
		o.FromPort = 7
		out := must(a.AddDatagram(ctx, o))(t)
		in := must(b.AddDatagram(ctx, o))(t)
		from := exchange(t, out, in, in.Addr(), []byte("by "+style))
		knows(t, style, from, a.Addr())
		if from.Port != 7 {
			t.Errorf("%s from port %d", style, from.Port)
		}
	}

	if _, err := b.AddStream(ctx, Options{FromPort: 80}); err == nil {
		t.Error("two parts listen to one port")
	}
	listener := web.Listen()
	ended := make(chan error, 1)
	go func() {
		_, err := listener.Accept()
		ended <- err
	}()
	time.Sleep(100 * time.Millisecond)
	if err := web.Close(); err != nil {
		t.Error(err)
	}
	if err := <-ended; !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept of a part that is closed: %v", err)
	}
	if b.Err() != nil {
		t.Fatalf("closing a part has ended the session: %v", b.Err())
	}
	again := must(b.AddStream(ctx, Options{FromPort: 80}))(t) // the port is free
	if err := b.Remove(ctx, again.ID()); err != nil {
		t.Error(err)
	}
	if err := b.Remove(ctx, again.ID()); err == nil {
		t.Error("a part that is gone is removed")
	}
}

func TestNetworkLookupsAndKeys(t *testing.T) {
	ctx := within(t, patient)
	near, far := bridges(t)
	if version := must(near.Version(ctx))(t); version != "3.3" {
		t.Logf("version %s", version)
	}
	for _, kind := range []int{1, 2, 3, 7, 11} {
		keys := must(near.GenerateKeys(ctx, kind))(t)
		if public, err := PublicOf(keys.Private); err != nil || public != keys.Public {
			t.Errorf("type %d: %v", kind, err)
		}
	}
	keys := must(near.LoadKeys(ctx, t.TempDir()+"/keys"))(t)
	session := must(near.OpenStream(ctx, Options{Keys: keys.Private, Router: short}))(t)
	if session.Keys() != keys {
		t.Error("the session has other keys than those that were given")
	}
	name := must(session.Addr().B32())(t)
	if found, err := far.Lookup(ctx, name); err != nil || found.Dest != keys.Public {
		t.Errorf("%v", err)
	}
	if found, _, err := far.LookupOptions(ctx, name); err != nil || found.Dest != keys.Public {
		t.Errorf("with options: %v", err)
	}
	// The same keys again, right after the end.
	_ = session.Close()
	session = must(near.OpenStream(ctx, Options{Keys: keys.Private, Router: short}))(t)
	_ = session.Close()
}

func TestNetworkErrorsByCode(t *testing.T) {
	ctx := within(t, patient)
	near, far := bridges(t)
	keys := must(near.GenerateKeys(ctx, 7))(t)
	session := must(near.OpenStream(ctx, Options{ID: "go-first-" + randomID(), Keys: keys.Private, Router: short}))(t)
	defer session.Close()
	gone := must(far.OpenStream(ctx, Options{Router: short}))(t)
	datagrams := must(far.OpenDatagram(ctx, DatagramOptions{Options: Options{Router: short}}))(t)
	defer datagrams.Close()
	nobody := must(b32Of(keys.Private))(t)
	_ = gone.Close()
	for name, case_ := range map[string]struct {
		err  error
		want error
	}{
		"same ID":      {second(near.OpenStream(ctx, Options{ID: session.ID()})), ErrDuplicatedID},
		"same keys":    {second(near.OpenStream(ctx, Options{Keys: keys.Private})), ErrDuplicatedDest},
		"bad keys":     {second(near.OpenStream(ctx, Options{Keys: "AAAA"})), ErrInvalidKey},
		"bad type":     {second(near.GenerateKeys(ctx, 99)), ErrI2P},
		"no such host": {second(near.Lookup(ctx, "no-such-host-here.i2p")), ErrKeyNotFound},
		"no such b32":  {second(near.Lookup(ctx, nobody)), ErrKeyNotFound},
		"bad name":     {second(near.Lookup(ctx, "abc.b32.i2p")), ErrInvalidKey},
		"dial b32":     {second(session.Dial(ctx, nobody)), ErrCantReachPeer},
		"dial garbage": {second(session.Dial(ctx, "AAAA")), ErrInvalidKey},
	} {
		if !errors.Is(case_.err, case_.want) {
			t.Errorf("%s: %v, not %v", name, case_.err, case_.want)
		}
	}
	lost := &StreamSession{control: session.control, id: "go-nobody"}
	if _, err := lost.DialAddr(ctx, session.Addr()); !errors.Is(err, ErrInvalidID) {
		t.Errorf("unknown ID: %v", err)
	}
	_ = session.Close()
	if _, err := session.DialAddr(ctx, datagrams.Addr()); !errors.Is(err, ErrInvalidID) && !errors.Is(err, ErrI2P) {
		t.Errorf("Dial after Close: %v", err)
	}
}

// b32Of gives a name that nobody has.
func b32Of(private string) (string, error) {
	public, err := PublicOf(private)
	if err != nil {
		return "", err
	}
	raw, err := b64.DecodeString(public)
	if err != nil {
		return "", err
	}
	raw[0] ^= 1
	return Addr{Dest: b64.EncodeToString(raw)}.B32()
}

func TestNetworkPassword(t *testing.T) {
	if os.Getenv("SAM_MAY_LOCK") != "1" {
		t.Skip("SAM_MAY_LOCK=1 is not set: it would ask for a password at a router that others may use")
	}
	ctx := within(t, patient)
	_, open := bridges(t)
	guest := New(open.config)
	guest.config.User, guest.config.Password = "joe", `a "b" \ c`
	for _, command := range []string{"AUTH ADD USER=joe PASSWORD=" + quote(guest.config.Password), "AUTH ENABLE"} {
		if _, err := open.query(ctx, command); err != nil {
			t.Fatalf("%s: %v", command, err)
		}
	}
	if _, err := open.Version(ctx); !errors.Is(err, ErrI2P) {
		t.Errorf("without a password: %v", err)
	}
	if _, err := guest.Version(ctx); err != nil {
		t.Errorf("with the password: %v", err)
	}
	for _, command := range []string{"AUTH DISABLE", "AUTH REMOVE USER=joe"} {
		if _, err := guest.query(ctx, command); err != nil {
			t.Errorf("%s: %v", command, err)
		}
	}
	if _, err := open.Version(ctx); err != nil {
		t.Errorf("unlocked again: %v", err)
	}
}
