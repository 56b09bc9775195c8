// SPDX-License-Identifier: MIT

package sam

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
)

// StreamSession makes and takes streams.
type StreamSession struct {
	*control
	id    string
	local Addr // with the port of the part
	part  bool
	life  context.Context // of the part
	kill  context.CancelFunc
}

func newStreams(c *control, id string, part bool) *StreamSession {
	s := &StreamSession{control: c, id: id, local: c.local, part: part}
	s.life, s.kill = context.WithCancel(context.Background())
	return s
}

// Close ends the session, and with it its streams and listeners. Of a primary session it ends this part alone.
func (s *StreamSession) Close() error {
	s.kill()
	if s.part {
		return s.removeNow(s.id)
	}
	return s.control.Close()
}

// OpenStream makes a session for streams. It returns when its tunnels stand and others can find it, which may take
// a minute; give the context that much.
func (cl *Client) OpenStream(ctx context.Context, o Options) (*StreamSession, error) {
	control, id, err := cl.open(ctx, "STREAM", "", o)
	if err != nil {
		return nil, err
	}
	return newStreams(control, id, false), nil
}

// ID is the session's name at the router.
func (s *StreamSession) ID() string { return s.id }

// Addr is our own destination, with the port that is listened to.
func (s *StreamSession) Addr() Addr { return s.local }

// Conn is a stream: a net.Conn that can also be closed for writing alone.
type Conn struct {
	*conn
	local, remote Addr
}

// LocalAddr is our destination and port.
func (c *Conn) LocalAddr() net.Addr { return c.local }

// RemoteAddr is the peer.
func (c *Conn) RemoteAddr() net.Addr { return c.remote }

// CloseWrite tells the peer that no more comes; reading goes on.
func (c *Conn) CloseWrite() error {
	if half, ok := c.conn.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return fmt.Errorf("CloseWrite: %w", errors.ErrUnsupported)
}

// Dial connects to a peer: a destination, a .b32.i2p name or a host name, with ":port" behind it if the peer uses
// ports.
func (s *StreamSession) Dial(ctx context.Context, to string) (*Conn, error) {
	dest, port, err := splitPort(to)
	if err != nil {
		return nil, err
	}
	return s.DialAddr(ctx, Addr{Dest: dest, Port: port})
}

// DialAddr connects to a peer.
func (s *StreamSession) DialAddr(ctx context.Context, to Addr) (*Conn, error) {
	if err := plain("destination", to.Dest); err != nil {
		return nil, err
	}
	c, err := s.command(ctx, fmt.Sprintf("STREAM CONNECT ID=%s DESTINATION=%s SILENT=false%s",
		s.id, to.Dest, ports(0, to.Port)))
	if err != nil {
		return nil, err
	}
	return &Conn{conn: c, local: s.local, remote: to}, nil
}

// DialContext has the shape that http.Transport wants. The network is not looked at.
func (s *StreamSession) DialContext(ctx context.Context, _, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return nil, err
	}
	// Sites listen on every port; 80 is what a URL without a port means.
	if number == 80 {
		number = 0
	}
	c, err := s.DialAddr(ctx, Addr{Dest: host, Port: uint16(number)})
	if err != nil {
		return nil, err
	}
	return c, nil
}

// command opens a connection and gives a STREAM command that must be answered with OK.
func (s *StreamSession) command(ctx context.Context, command string) (*conn, error) {
	c, err := s.client.connect(ctx)
	if err != nil {
		return nil, err
	}
	err = guard(ctx, c, func() error {
		_, err := c.ask(command)
		return err
	})
	if err != nil {
		_ = c.Close()
		return nil, err
	}
	return c, nil
}

// Listener takes streams: a net.Listener. Several may wait in Accept at once.
type Listener struct {
	session *StreamSession
	ctx     context.Context
	cancel  context.CancelFunc
}

// Listen takes the streams of peers. The router holds those that come between two calls of Accept.
func (s *StreamSession) Listen() *Listener {
	ctx, cancel := context.WithCancel(s.life)
	return &Listener{session: s, ctx: ctx, cancel: cancel}
}

// Accept waits for the next peer.
func (l *Listener) Accept() (net.Conn, error) {
	c, err := l.AcceptContext(context.Background())
	if err != nil {
		return nil, err
	}
	return c, nil
}

// AcceptContext waits for the next peer until the context ends.
func (l *Listener) AcceptContext(ctx context.Context) (*Conn, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(l.ctx, cancel)
	defer stop()
	go func() {
		select {
		case <-l.session.done:
			cancel()
		case <-ctx.Done():
		}
	}()
	c, err := l.accept(ctx)
	switch {
	case err == nil:
		return c, nil
	case l.ctx.Err() != nil:
		return nil, net.ErrClosed
	case l.session.Err() != nil:
		return nil, l.session.Err()
	case errors.Is(err, io.EOF):
		return nil, fmt.Errorf("the router ended the listener: %w", net.ErrClosed)
	}
	return nil, err
}

func (l *Listener) accept(ctx context.Context) (*Conn, error) {
	c, err := l.session.command(ctx, "STREAM ACCEPT ID="+l.session.id+" SILENT=false")
	if err != nil {
		return nil, err
	}
	stream := &Conn{conn: c, local: l.session.local}
	err = guard(ctx, c, func() error {
		line, err := c.line()
		if err != nil {
			return err
		}
		stream.remote, err = parsePeer(line, &stream.local)
		return err
	})
	if err != nil {
		_ = c.Close()
		return nil, err
	}
	return stream, nil
}

// Close ends the calls of Accept. Streams that were taken live on.
func (l *Listener) Close() error {
	l.cancel()
	return nil
}

// Addr is our own destination.
func (l *Listener) Addr() net.Addr { return l.session.local }

// Forwarding hands peers to a TCP server.
type Forwarding struct {
	conn *conn
	once sync.Once
}

// Forward has the router connect every peer to a TCP server at host:port. Each connection begins with a line that
// says who the peer is, unless silent. An empty host is this machine. It ends with Close or the session.
func (s *StreamSession) Forward(ctx context.Context, host string, port uint16, silent bool) (*Forwarding, error) {
	command := fmt.Sprintf("STREAM FORWARD ID=%s PORT=%d SILENT=%t", s.id, port, silent)
	if host != "" {
		if err := plain("host", host); err != nil {
			return nil, err
		}
		command += " HOST=" + host
	}
	c, err := s.command(ctx, command)
	if err != nil {
		return nil, err
	}
	return &Forwarding{conn: c}, nil
}

// Close ends the forwarding; connections that stand live on.
func (f *Forwarding) Close() error {
	var err error
	f.once.Do(func() { err = f.conn.Close() })
	return err
}

// parsePeer reads "<destination> FROM_PORT=n TO_PORT=n"; before 3.2 there is the destination alone.
func parsePeer(line string, local *Addr) (Addr, error) {
	words, err := split(line)
	if err != nil || len(words) == 0 || strings.HasPrefix(line, "STREAM STATUS") {
		if _, err := answerTo("STREAM", line); err != nil {
			return Addr{}, err
		}
		return Addr{}, fmt.Errorf("%w: %.80q in place of a peer", ErrProtocol, line)
	}
	peer := Addr{Dest: words[0]}
	for _, word := range words[1:] {
		key, value, _ := strings.Cut(word, "=")
		number, err := strconv.ParseUint(value, 10, 16)
		if err != nil {
			continue
		}
		switch key {
		case "FROM_PORT":
			peer.Port = uint16(number)
		case "TO_PORT":
			local.Port = uint16(number)
		}
	}
	return peer, nil
}

func splitPort(to string) (string, uint16, error) {
	dest, port, found := strings.Cut(to, ":")
	if err := plain("destination", dest); err != nil {
		return "", 0, err
	}
	if !found {
		return dest, 0, nil
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return "", 0, fmt.Errorf("%q is no port", port)
	}
	return dest, uint16(number), nil
}
