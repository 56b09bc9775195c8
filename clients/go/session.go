// SPDX-License-Identifier: MIT

package sam

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sort"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// queueMax is how many datagrams wait for a reader of a control connection; the oldest gives way.
const queueMax = 256

// Options of a session. The zero value is a new destination with the router's usual tunnels.
type Options struct {
	// ID names the session among all of the router. Default: random.
	ID string
	// Keys are private keys, as of GenerateKeys. Default: new ones that die with the session.
	Keys string
	// SignatureType of new keys. Default 7, Ed25519.
	SignatureType int
	// Router options, as {"inbound.length": "2", "outbound.quantity": "3"}.
	Router map[string]string
	// FromPort and ToPort are the defaults of the session's ports.
	FromPort, ToPort uint16
}

// control is the connection that a session lives on.
type control struct {
	client *Client
	conn   *conn
	local  Addr
	keys   Keys

	asking  sync.Mutex  // one command at a time
	waiting atomic.Bool // for an answer
	replies chan string
	packets chan packet
	done    chan struct{}
	once    sync.Once
	err     error
	last    error // what the router said before it ended the session
}

func (cl *Client) open(ctx context.Context, style, extra string, o Options) (*control, string, error) {
	id, err := o.check()
	if err != nil {
		return nil, "", err
	}
	keys := o.Keys
	if keys == "" {
		kind := o.SignatureType
		if kind == 0 {
			kind = 7
		}
		keys = "TRANSIENT SIGNATURE_TYPE=" + strconv.Itoa(kind)
	}
	command := fmt.Sprintf("SESSION CREATE STYLE=%s ID=%s DESTINATION=%s%s%s%s",
		style, id, keys, extra, ports(o.FromPort, o.ToPort), routerOptions(o.Router))
	c, err := cl.connect(ctx)
	if err != nil {
		return nil, "", err
	}
	session := &control{
		client: cl, conn: c, replies: make(chan string, 1), packets: make(chan packet, queueMax), done: make(chan struct{}),
	}
	err = guard(ctx, c, func() error {
		answer, err := c.ask(command)
		if err != nil {
			return err
		}
		if session.keys.Private = answer.get("DESTINATION"); session.keys.Private == "" {
			session.keys.Private = o.Keys
		}
		if answer, err = c.ask("NAMING LOOKUP NAME=ME"); err != nil {
			return err
		}
		session.keys.Public = answer.get("VALUE")
		session.local = Addr{Dest: answer.get("VALUE"), Port: o.FromPort}
		if session.keys.Private == "" || session.keys.Public == "" {
			return fmt.Errorf("%w: a session without a destination", ErrProtocol)
		}
		return nil
	})
	if err != nil {
		_ = c.Close()
		return nil, "", err
	}
	go session.read()
	return session, id, nil
}

// check gives the session's ID, and refuses what cannot be said in a command.
func (o Options) check() (string, error) {
	id := o.ID
	if id == "" {
		id = randomID()
	}
	if err := plain("session ID", id); err != nil {
		return "", err
	}
	if o.Keys != "" && plain("private key", o.Keys) != nil {
		return "", errors.New("private keys are one word of base64") // and never part of an error
	}
	for key, value := range o.Router {
		if err := plain("router option", key); err != nil || strings.Contains(key, "=") {
			return "", fmt.Errorf("%.80q cannot be a router option", key)
		}
		if strings.ContainsAny(value, "\r\n\x00") {
			return "", fmt.Errorf("the value of %s has a line end", key)
		}
	}
	return id, nil
}

func ports(from, to uint16) string {
	var text string
	if from != 0 {
		text += fmt.Sprintf(" FROM_PORT=%d", from)
	}
	if to != 0 {
		text += fmt.Sprintf(" TO_PORT=%d", to)
	}
	return text
}

func routerOptions(options map[string]string) string {
	var parts []string
	for key, value := range options {
		if value == "" || strings.ContainsAny(value, " \t\"\\") {
			value = quote(value)
		}
		parts = append(parts, " "+key+"="+value)
	}
	sort.Strings(parts)
	return strings.Join(parts, "")
}

// read takes everything that comes on the control connection, until its end.
func (s *control) read() {
	for {
		line, err := s.conn.line()
		if err != nil {
			s.end(err)
			return
		}
		switch {
		case strings.HasPrefix(line, "DATAGRAM RECEIVED "), strings.HasPrefix(line, "RAW RECEIVED "):
			p, err := s.readPacket(line)
			if err != nil {
				s.end(err)
				return
			}
			s.deliver(p)
		case isPing(line):
			_ = s.conn.pong(line)
		case strings.HasPrefix(line, "SESSION ") && s.waiting.CompareAndSwap(true, false):
			s.replies <- line // there is room: one command, one answer
		default:
			// Nobody asked. An error is most likely the reason for the end that follows.
			if answer, err := parseReply(line); err == nil && answer.check() != nil {
				s.last = answer.check()
			}
		}
	}
}

func (s *control) deliver(p packet) {
	for {
		select {
		case s.packets <- p:
			return
		default:
			select { // the oldest gives way
			case <-s.packets:
			default:
			}
		}
	}
}

func (s *control) end(err error) {
	s.once.Do(func() {
		if errors.Is(err, io.EOF) {
			err = fmt.Errorf("the router ended the session: %w", net.ErrClosed)
			if s.last != nil { // of the goroutine that reads, which is the one that sees io.EOF
				err = fmt.Errorf("the router ended the session: %w", s.last)
			}
		}
		s.err = err
		close(s.done)
		_ = s.conn.Close()
	})
}

// ask sends a command on the control connection. A context that ends in the middle ends the session, because the
// answer would be taken for that of the next command.
func (s *control) ask(ctx context.Context, command string) (reply, error) {
	s.asking.Lock()
	defer s.asking.Unlock()
	if err := errors.Join(s.Err(), ctx.Err()); err != nil {
		return reply{}, err
	}
	stop := context.AfterFunc(ctx, func() { s.end(ctx.Err()) })
	defer stop()
	s.waiting.Store(true)
	if _, err := io.WriteString(s.conn.Conn, command+"\n"); err != nil {
		s.end(err)
	}
	select {
	case line := <-s.replies:
		return answerTo(command, line)
	case <-s.done:
		return reply{}, s.err
	}
}

// remove ends a part of a primary session.
func (s *control) remove(ctx context.Context, id string) error {
	if err := plain("session ID", id); err != nil {
		return err
	}
	_, err := s.ask(ctx, "SESSION REMOVE ID="+id)
	return err
}

// removeNow is for Close, which has no context: the router answers at once.
func (s *control) removeNow(id string) error {
	if s.Err() != nil {
		return nil // it has gone with the session
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return s.remove(ctx, id)
}

// Done is closed when the session has ended, whoever ended it.
func (s *control) Done() <-chan struct{} { return s.done }

// Err says why the session has ended, nil while it lives.
func (s *control) Err() error {
	select {
	case <-s.done:
		return s.err
	default:
		return nil
	}
}

// Close ends the session with everything in it.
func (s *control) Close() error {
	s.end(net.ErrClosed)
	return nil
}

// Addr is our own destination.
func (s *control) Addr() Addr { return s.local }

// Keys are those of the session: give Keys.Private to another session to have the same destination again.
func (s *control) Keys() Keys { return s.keys }
