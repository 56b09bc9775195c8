// SPDX-License-Identifier: MIT

package sam

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A bridge of a few lines: it answers what begins as the script says. It writes one byte at a time, so that every
// answer comes in many pieces.
type fake struct {
	t        *testing.T
	listener net.Listener
	script   map[string]string // how a command begins -> the answer; "-" hangs, "!" closes
	got      chan string
	conns    chan net.Conn
}

const fakeDest = "fake~dest"

func newFake(t *testing.T, script map[string]string) (*fake, *Client) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	whole := map[string]string{
		"HELLO":                 "HELLO REPLY RESULT=OK VERSION=3.3\n",
		"SESSION CREATE":        "SESSION STATUS RESULT=OK DESTINATION=private\n",
		"NAMING LOOKUP NAME=ME": "NAMING REPLY RESULT=OK NAME=ME VALUE=" + fakeDest + "\n",
	}
	for key, value := range script {
		whole[key] = value
	}
	f := &fake{t: t, listener: listener, script: whole, got: make(chan string, 100), conns: make(chan net.Conn, 100)}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go f.serve(conn)
		}
	}()
	return f, New(Config{Address: listener.Addr().String(), HandshakeTimeout: 5 * time.Second})
}

func (f *fake) serve(conn net.Conn) {
	f.conns <- conn
	lines := bufio.NewReader(conn)
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			return
		}
		line = strings.TrimRight(line, "\n")
		f.got <- line
		best := ""
		for start := range f.script {
			if strings.HasPrefix(line, start) && len(start) > len(best) {
				best = start
			}
		}
		switch answer := f.script[best]; answer {
		case "!":
			_ = conn.Close()
			return
		case "-", "":
		default:
			f.say(conn, answer)
		}
	}
}

func (f *fake) say(conn net.Conn, text string) {
	for i := range len(text) {
		if _, err := conn.Write([]byte{text[i]}); err != nil {
			return
		}
	}
}

// wants takes what clients said, up to a line that begins so.
func (f *fake) wants(start string) string {
	f.t.Helper()
	for {
		select {
		case line := <-f.got:
			if strings.HasPrefix(line, start) {
				return line
			}
		case <-time.After(5 * time.Second):
			f.t.Fatalf("no %q came", start)
		}
	}
}

func within(t *testing.T, limit time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	t.Cleanup(cancel)
	return ctx
}

func TestSplit(t *testing.T) {
	for line, want := range map[string]string{
		`A B C=D`:              "A|B|C=D",
		"  A \t B  ":           "A|B",
		`A B M="x y=z" N=1`:    "A|B|M=x y=z|N=1",
		`A B M="a \"b\" \\ c"`: `A|B|M=a "b" \ c`,
		`A B M="" N`:           "A|B|M=|N",
		`A B K=v==`:            "A|B|K=v==",
	} {
		words, err := split(line)
		if got := strings.Join(words, "|"); err != nil || got != want {
			t.Errorf("%q: %q, %v", line, got, err)
		}
	}
	if _, err := split(`A B M="x`); !errors.Is(err, ErrProtocol) {
		t.Errorf("an open quote: %v", err)
	}
}

func FuzzReply(f *testing.F) {
	f.Add("SESSION STATUS RESULT=I2P_ERROR MESSAGE=\"a \\\"b\"")
	f.Add("x FROM_PORT=99999 TO_PORT=")
	f.Fuzz(func(_ *testing.T, line string) {
		if answer, err := parseReply(line); err == nil {
			_ = answer.check()
		}
		var local Addr
		_, _ = parsePeer(line, &local)
		_, _ = Addr{Dest: line}.B32()
		_, _ = PublicOf(line)
	})
}

func TestAddr(t *testing.T) {
	raw := make([]byte, 391)
	raw[384], raw[386], raw[388] = 5, 4, 7
	addr := Addr{Dest: b64.EncodeToString(raw), Port: 80}
	short, err := addr.B32()
	if err != nil || len(short) != 60 || addr.String() != short+":80" {
		t.Errorf("%q %q %v", short, addr, err)
	}
	if public, err := PublicOf(b64.EncodeToString(append(raw, make([]byte, 288)...))); err != nil || public != addr.Dest {
		t.Errorf("PublicOf: %v", err)
	}
	for _, bad := range []string{"", "AAAA", "not base64!", b64.EncodeToString(raw)} {
		if _, err := PublicOf(bad); err == nil {
			t.Errorf("PublicOf(%.20q) is good", bad)
		}
	}
	if _, err := (Addr{Dest: "stats.i2p"}).B32(); err == nil {
		t.Error("a host name has no b32")
	}
}

func TestWordsThatAreNone(t *testing.T) {
	f, client := newFake(t, nil)
	ctx := within(t, 5*time.Second)
	session, err := client.OpenStream(ctx, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	for name, err := range map[string]error{
		"lookup":  second(client.Lookup(ctx, "a b")),
		"dial":    second(session.Dial(ctx, "x\nQUIT")),
		"forward": second(session.Forward(ctx, "h\nQUIT", 80, true)),
		"id":      second(client.OpenStream(ctx, Options{ID: "a b"})),
		"keys":    second(client.OpenStream(ctx, Options{Keys: "a b"})),
		"option":  second(client.OpenStream(ctx, Options{Router: map[string]string{"a=b": "c"}})),
		"value":   second(client.OpenStream(ctx, Options{Router: map[string]string{"a": "b\nQUIT"}})),
		"style":   second(client.OpenDatagram(ctx, DatagramOptions{Style: "x"})),
		"port":    second(session.Dial(ctx, "x.i2p:99999")),
	} {
		if err == nil {
			t.Errorf("%s is taken", name)
		}
	}
	for len(f.got) > 0 {
		if line := <-f.got; strings.Contains(line, "QUIT") {
			t.Errorf("the bridge got %q", line)
		}
	}
}

func second[T any](_ T, err error) error { return err }

func TestSessionAndErrors(t *testing.T) {
	f, client := newFake(t, map[string]string{
		"SESSION CREATE STYLE=STREAM ID=twice": "SESSION STATUS RESULT=DUPLICATED_ID\n",
		"SESSION CREATE STYLE=STREAM ID=odd":   "NAMING REPLY RESULT=OK\n",
		"SESSION CREATE STYLE=STREAM ID=none":  "SESSION STATUS\n",
		"SESSION CREATE STYLE=STREAM ID=gone":  "!",
		"SESSION CREATE STYLE=STREAM ID=ping":  "PING 1 2\nSESSION STATUS RESULT=OK DESTINATION=p\n",
		"STREAM CONNECT":                       "STREAM STATUS RESULT=CANT_REACH_PEER MESSAGE=\"not a \\\"peer\\\"\"\n",
	})
	ctx := within(t, 10*time.Second)
	session, err := client.OpenStream(ctx, Options{Router: map[string]string{"inbound.nickname": "a b", "x": ""}})
	if err != nil {
		t.Fatal(err)
	}
	created := f.wants("SESSION CREATE")
	for _, part := range []string{`inbound.nickname="a b"`, `x=""`, "TRANSIENT SIGNATURE_TYPE=7"} {
		if !strings.Contains(created, part) {
			t.Errorf("%s is not in %s", part, created)
		}
	}
	if session.Addr().Dest != fakeDest || session.Keys() != (Keys{Public: fakeDest, Private: "private"}) {
		t.Errorf("%v %v", session.Addr(), session.Keys())
	}
	var refused *Error
	_, err = session.Dial(ctx, "x.i2p")
	if !errors.Is(err, ErrCantReachPeer) || errors.Is(err, ErrTimeout) || !errors.As(err, &refused) ||
		refused.Message != `not a "peer"` {
		t.Errorf("CONNECT: %v", err)
	}
	if c, err := session.DialContext(ctx, "tcp", "x.i2p:80"); c != nil || err == nil {
		t.Errorf("DialContext: %v, %v", c, err)
	}
	for id, want := range map[string]error{
		"twice": ErrDuplicatedID, "odd": ErrProtocol, "none": ErrProtocol, "gone": io.EOF,
	} {
		if _, err := client.OpenStream(ctx, Options{ID: id}); !errors.Is(err, want) {
			t.Errorf("%s: %v, not %v", id, err, want)
		}
	}
	if ping, err := client.OpenStream(ctx, Options{ID: "ping"}); err != nil {
		t.Errorf("PING in place of an answer: %v", err)
	} else {
		_ = ping.Close()
	}
	if line := f.wants("PONG"); line != "PONG 1 2" {
		t.Errorf("%q", line)
	}
	_ = session.Close()
	if !errors.Is(session.Err(), net.ErrClosed) {
		t.Errorf("after Close: %v", session.Err())
	}
}

func TestContextEndsWaiting(t *testing.T) {
	_, client := newFake(t, map[string]string{
		"NAMING LOOKUP NAME=slow.i2p": "-",
		"STREAM CONNECT":              "-",
		"STREAM ACCEPT":               "STREAM STATUS RESULT=OK\n",
		"SESSION ADD":                 "-",
		"SESSION CREATE STYLE=RAW":    "-",
	})
	session, err := client.OpenPrimary(within(t, 5*time.Second), Options{})
	if err != nil {
		t.Fatal(err)
	}
	streams, err := client.OpenStream(within(t, 5*time.Second), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer streams.Close()
	start := time.Now()
	for name, try := range map[string]func(context.Context) error{
		"lookup":  func(ctx context.Context) error { return second(client.Lookup(ctx, "slow.i2p")) },
		"connect": func(ctx context.Context) error { return second(streams.Dial(ctx, "x.i2p")) },
		"accept":  func(ctx context.Context) error { return second(streams.Listen().AcceptContext(ctx)) },
		"add":     func(ctx context.Context) error { return second(session.AddStream(ctx, Options{})) },
		"create": func(ctx context.Context) error {
			return second(client.OpenDatagram(ctx, DatagramOptions{Style: Raw}))
		},
	} {
		if err := try(within(t, 50*time.Millisecond)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if session.Err() == nil {
		t.Error("a session with half a command in it goes on")
	}
	if took := time.Since(start); took > 3*time.Second {
		t.Errorf("took %v", took)
	}
	// A bridge that says nothing at all.
	mute, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer mute.Close()
	silent := New(Config{Address: mute.Addr().String(), HandshakeTimeout: 50 * time.Millisecond})
	if _, err := silent.Version(context.Background()); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a mute bridge: %v", err)
	}
}

func TestStreamsKeepWhatFollowsTheAnswer(t *testing.T) {
	_, client := newFake(t, map[string]string{
		"STREAM CONNECT": "STREAM STATUS RESULT=OK\nearly bytes",
		"STREAM ACCEPT":  "STREAM STATUS RESULT=OK\npeer FROM_PORT=5 TO_PORT=6\nmore",
	})
	ctx := within(t, 5*time.Second)
	session, err := client.OpenStream(ctx, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	out, err := session.Dial(ctx, "x.i2p:7")
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	listener := session.Listen()
	in, err := listener.AcceptContext(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	if in.RemoteAddr() != net.Addr(Addr{"peer", 5}) || in.LocalAddr() != net.Addr(Addr{fakeDest, 6}) {
		t.Errorf("%v %v", in.RemoteAddr(), in.LocalAddr())
	}
	for conn, want := range map[net.Conn]string{out: "early bytes", in: "more"} {
		got := make([]byte, len(want))
		if _, err := io.ReadFull(conn, got); err != nil || string(got) != want {
			t.Errorf("%q, %v", got, err)
		}
	}
	_ = listener.Close()
	if c, err := listener.Accept(); c != nil || !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept after Close: %v, %v", c, err)
	}
}

func TestControlConnection(t *testing.T) {
	f, client := newFake(t, map[string]string{
		"SESSION ADD": "PING before\nSESSION STATUS RESULT=OK ID=\"x\" MESSAGE=\"ADD x\"\n",
	})
	ctx := within(t, 5*time.Second)
	session, err := client.OpenDatagram(ctx, DatagramOptions{OverControl: true})
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	router := <-f.conns
	f.say(router, "SESSION STATUS RESULT=OK MESSAGE=\"nobody asked\"\nPING x\n"+
		"DATAGRAM RECEIVED DESTINATION=from SIZE=5 FROM_PORT=1 TO_PORT=2\nab\ncdRAW RECEIVED SIZE=1\nz")
	if line := f.wants("PONG"); line != "PONG x" {
		t.Errorf("%q", line)
	}
	for _, want := range []string{"ab\ncd from:1", "z "} {
		buffer := make([]byte, 100)
		n, from, err := session.ReadFrom(buffer)
		if err != nil || fmt.Sprintf("%s %s", buffer[:n], from) != want {
			t.Errorf("%q from %v, %v", buffer[:n], from, err)
		}
	}
	_ = session.SetReadDeadline(time.Now().Add(30 * time.Millisecond))
	if _, _, err := session.ReadFrom(nil); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("deadline: %v", err)
	}
	_ = session.SetReadDeadline(time.Time{})
	if n, err := session.WriteTo([]byte("hi\n"), Addr{"to", 3}); n != 3 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	if line := f.wants("DATAGRAM SEND"); line != "DATAGRAM SEND DESTINATION=to SIZE=3 TO_PORT=3" || f.wants("hi") != "hi" {
		t.Errorf("%q", line)
	}
	for _, bad := range [][]byte{nil, make([]byte, 31745)} {
		if _, err := session.WriteTo(bad, Addr{Dest: "to"}); err == nil {
			t.Errorf("%d bytes are taken", len(bad))
		}
	}
	for i := range queueMax + 10 {
		f.say(router, fmt.Sprintf("RAW RECEIVED SIZE=3\n%03d", i))
	}
	f.say(router, "SESSION STATUS RESULT=I2P_ERROR MESSAGE=\"router goes down\"\n")
	_ = router.Close()
	<-session.Done()
	if err := session.Err(); !errors.Is(err, ErrI2P) || !strings.Contains(err.Error(), "goes down") {
		t.Errorf("the end: %v", err)
	}
	count, first := 0, ""
	for {
		buffer := make([]byte, 3)
		if _, _, err := session.ReadFrom(buffer); err != nil {
			break
		}
		if count++; count == 1 {
			first = string(buffer)
		}
	}
	if count != queueMax || first != "010" {
		t.Errorf("%d datagrams were kept, the first is %s", count, first)
	}

	primary, err := client.OpenPrimary(ctx, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer primary.Close()
	if _, err := primary.AddStream(ctx, Options{ID: "x"}); err != nil {
		t.Errorf("ADD with a PING before its answer: %v", err)
	}
}

func TestLookups(t *testing.T) {
	_, client := newFake(t, map[string]string{
		"NAMING LOOKUP NAME=a.i2p":              "NAMING REPLY RESULT=OK NAME=a.i2p VALUE=dest\n",
		"NAMING LOOKUP NAME=a.i2p OPTIONS=true": "NAMING REPLY RESULT=OK NAME=a.i2p VALUE=dest OPTION:_smtp._tcp=\"1 2 3\"\n",
		"NAMING LOOKUP NAME=b.i2p":              "NAMING REPLY RESULT=KEY_NOT_FOUND NAME=b.i2p\n",
		"NAMING LOOKUP NAME=c.i2p":              "NAMING REPLY RESULT=OK NAME=c.i2p\n",
		"DEST GENERATE":                         "DEST REPLY PUB=pub PRIV=priv\n",
		"DEST GENERATE SIGNATURE_TYPE=99":       "DEST REPLY RESULT=I2P_ERROR MESSAGE=\"no\"\n",
	})
	ctx := within(t, 5*time.Second)
	if addr, err := client.Lookup(ctx, "a.i2p"); err != nil || addr.Dest != "dest" {
		t.Errorf("%v, %v", addr, err)
	}
	if _, options, err := client.LookupOptions(ctx, "a.i2p"); err != nil || options["_smtp._tcp"] != "1 2 3" {
		t.Errorf("%v, %v", options, err)
	}
	if _, err := client.Lookup(ctx, "b.i2p"); !errors.Is(err, ErrKeyNotFound) {
		t.Error(err)
	}
	if _, err := client.Lookup(ctx, "c.i2p"); !errors.Is(err, ErrProtocol) {
		t.Error(err)
	}
	if _, err := client.GenerateKeys(ctx, 99); !errors.Is(err, ErrI2P) {
		t.Error(err)
	}
	path := filepath.Join(t.TempDir(), "keys")
	if keys, err := client.LoadKeys(ctx, path); err != nil || keys.Private != "priv" {
		t.Errorf("%v, %v", keys, err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	if _, err := client.LoadKeys(ctx, path); err == nil { // "priv" is no key
		t.Error("a broken file of keys is taken")
	}
}

func TestUserAndPassword(t *testing.T) {
	f, client := newFake(t, nil)
	client.config.User, client.config.Password = "joe", `a "b" \`
	if _, err := client.Version(within(t, 5*time.Second)); err != nil {
		t.Fatal(err)
	}
	if line := f.wants("HELLO"); !strings.HasSuffix(line, ` USER="joe" PASSWORD="a \"b\" \\"`) {
		t.Errorf("%q", line)
	}
	client.config.Password = "x\nQUIT"
	if _, err := client.Version(within(t, 5*time.Second)); err == nil {
		t.Error("a password of two lines is sent")
	}
}
