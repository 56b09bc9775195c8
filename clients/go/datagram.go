// SPDX-License-Identifier: MIT

package sam

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Style of datagrams.
type Style string

// The styles. Datagram and Datagram2 prove who sent them, Datagram3 only claims it, Raw does not tell.
const (
	Datagram  Style = "DATAGRAM"
	Datagram2 Style = "DATAGRAM2"
	Datagram3 Style = "DATAGRAM3"
	Raw       Style = "RAW"
)

// DatagramOptions of a session or a part of one.
type DatagramOptions struct {
	Options
	// Style; default Datagram.
	Style Style
	// Protocol of raw datagrams; default 18.
	Protocol uint8
	// OverControl sends and takes datagrams on the control connection in place of UDP: slower, and for routers on
	// other machines. Not for parts of a primary session.
	OverControl bool
	// ListenPort is the port that a part of a primary session takes; 0: FromPort.
	ListenPort uint16
}

type packet struct {
	from    Addr
	payload []byte
}

// DatagramSession sends and takes datagrams: a net.PacketConn, whose addresses are Addr.
type DatagramSession struct {
	*control
	id     string
	local  Addr // with the port of the part
	style  Style
	udp    *net.UDPConn
	router net.Addr
	part   bool

	gone chan struct{} // closed with the UDP side
	shut sync.Once

	mutex    sync.Mutex
	deadline time.Time
	changed  chan struct{}
}

var _ net.PacketConn = (*DatagramSession)(nil)

// OpenDatagram makes a session for datagrams.
func (cl *Client) OpenDatagram(ctx context.Context, o DatagramOptions) (*DatagramSession, error) {
	s, extra, err := cl.datagrams(o)
	if err != nil {
		return nil, err
	}
	s.control, s.id, err = cl.open(ctx, string(s.style), extra, o.Options)
	if err != nil {
		s.closeUDP()
		return nil, err
	}
	s.local = s.control.local
	s.closeWithSession()
	return s, nil
}

// datagrams prepares the UDP side, and the options that tell the router of it.
func (cl *Client) datagrams(o DatagramOptions) (*DatagramSession, string, error) {
	s := &DatagramSession{style: o.Style, gone: make(chan struct{}), changed: make(chan struct{})}
	switch s.style {
	case "":
		s.style = Datagram
	case Datagram, Datagram2, Datagram3, Raw:
	default:
		return nil, "", fmt.Errorf("%.80q is no style of datagrams", s.style)
	}
	var extra string
	if s.style == Raw {
		if o.Protocol != 0 {
			extra += " PROTOCOL=" + strconv.Itoa(int(o.Protocol))
		}
		if !o.OverControl {
			extra += " HEADER=true"
		}
	}
	if o.OverControl {
		return s, extra, nil
	}
	router, err := cl.udpAddress()
	if err != nil {
		return nil, "", err
	}
	// The address by which the router reaches us is that by which we reach it.
	probe, err := net.DialUDP("udp", nil, router)
	if err != nil {
		return nil, "", err
	}
	local := probe.LocalAddr().(*net.UDPAddr).IP
	_ = probe.Close()
	if s.udp, err = net.ListenUDP("udp", &net.UDPAddr{IP: local}); err != nil {
		return nil, "", err
	}
	s.router = router
	port := s.udp.LocalAddr().(*net.UDPAddr).Port
	return s, fmt.Sprintf("%s PORT=%d HOST=%s", extra, port, local), nil
}

func (cl *Client) udpAddress() (*net.UDPAddr, error) {
	address := cl.config.UDPAddress
	if address == "" {
		host, port, err := net.SplitHostPort(cl.config.Address)
		if err != nil {
			return nil, fmt.Errorf("UDPAddress is needed: %w", err)
		}
		number, err := strconv.Atoi(port)
		if err != nil {
			return nil, err
		}
		address = net.JoinHostPort(host, strconv.Itoa(number-1))
	}
	return net.ResolveUDPAddr("udp", address)
}

// closeWithSession ends reads when the session ends.
func (s *DatagramSession) closeWithSession() {
	if s.udp == nil {
		return
	}
	go func() {
		select {
		case <-s.done:
			s.closeUDP()
		case <-s.gone:
		}
	}()
}

func (s *DatagramSession) closeUDP() {
	if s.udp != nil {
		s.shut.Do(func() {
			close(s.gone)
			_ = s.udp.Close()
		})
	}
}

// Close ends the session. Of a primary session it ends this part alone.
func (s *DatagramSession) Close() error {
	if s.part {
		s.closeUDP()
		return s.removeNow(s.id)
	}
	return s.control.Close()
}

// ID is the session's name at the router.
func (s *DatagramSession) ID() string { return s.id }

// LocalAddr is our destination.
func (s *DatagramSession) LocalAddr() net.Addr { return s.local }

// Addr is the same, as Addr.
func (s *DatagramSession) Addr() Addr { return s.local }

// WriteTo sends a datagram to an Addr. Success says nothing about its arrival. At most 31,744 bytes, raw 32,768; those
// below some 10,000 arrive much more often. Not every router looks names up here: send to what Lookup gives.
func (s *DatagramSession) WriteTo(p []byte, to net.Addr) (int, error) {
	addr, ok := to.(Addr)
	if !ok {
		return 0, fmt.Errorf("%T is not a sam.Addr", to)
	}
	if err := plain("destination", addr.Dest); err != nil {
		return 0, err
	}
	if err := s.Err(); err != nil {
		return 0, err
	}
	limit := 31744
	if s.style == Raw {
		limit = 32768
	}
	if len(p) == 0 || len(p) > limit {
		return 0, fmt.Errorf("datagrams have 1 to %d bytes, not %d", limit, len(p))
	}
	var head string
	if s.udp != nil {
		head = fmt.Sprintf("3.3 %s %s%s\n", s.id, addr.Dest, ports(0, addr.Port))
		if _, err := s.udp.WriteTo(append([]byte(head), p...), s.router); err != nil {
			return 0, err
		}
		return len(p), nil
	}
	word := "DATAGRAM"
	if s.style == Raw {
		word = "RAW"
	}
	head = fmt.Sprintf("%s SEND DESTINATION=%s SIZE=%d%s\n", word, addr.Dest, len(p), ports(0, addr.Port))
	s.asking.Lock()
	defer s.asking.Unlock()
	if _, err := s.conn.Conn.Write(append([]byte(head), p...)); err != nil {
		return 0, err
	}
	return len(p), nil
}

// ReadFrom takes the next datagram. What does not fit into p is cut off, as with UDP.
func (s *DatagramSession) ReadFrom(p []byte) (int, net.Addr, error) {
	if s.udp == nil {
		return s.readControl(p)
	}
	buffer := buffers.Get().(*[64 * 1024]byte)
	defer buffers.Put(buffer)
	router := s.router.(*net.UDPAddr)
	for {
		n, from, err := s.udp.ReadFromUDP(buffer[:])
		if err != nil {
			if ended := s.Err(); ended != nil {
				err = ended
			}
			return 0, nil, err
		}
		if from.Port != router.Port || !from.IP.Equal(router.IP) {
			continue // not the router
		}
		head, payload, found := bytes.Cut(buffer[:n], []byte("\n"))
		if !found {
			continue
		}
		peer, err := parseHead(string(head), s.style)
		if err != nil {
			continue
		}
		return copy(p, payload), peer, nil
	}
}

var buffers = sync.Pool{New: func() any { return new([64 * 1024]byte) }}

// parseHead reads the line before a forwarded datagram: the sender, except for raw ones, and ports.
func parseHead(head string, style Style) (Addr, error) {
	if style == Raw {
		head = "- " + head
	}
	var local Addr
	peer, err := parsePeer(head, &local)
	if style == Raw {
		peer.Dest = ""
	}
	return peer, err
}

func (s *DatagramSession) readControl(p []byte) (int, net.Addr, error) {
	for {
		select { // what has come before the end is not lost
		case packet := <-s.packets:
			return copy(p, packet.payload), packet.from, nil
		default:
		}
		s.mutex.Lock()
		deadline, changed := s.deadline, s.changed
		s.mutex.Unlock()
		var over <-chan time.Time
		if !deadline.IsZero() {
			timer := time.NewTimer(time.Until(deadline))
			defer timer.Stop()
			over = timer.C
		}
		select {
		case packet := <-s.packets:
			return copy(p, packet.payload), packet.from, nil
		case <-s.done:
			return 0, nil, s.err
		case <-over:
			return 0, nil, os.ErrDeadlineExceeded
		case <-changed:
		}
	}
}

// SetDeadline bounds reading; writing does not wait.
func (s *DatagramSession) SetDeadline(t time.Time) error { return s.SetReadDeadline(t) }

// SetReadDeadline bounds ReadFrom.
func (s *DatagramSession) SetReadDeadline(t time.Time) error {
	if s.udp != nil {
		return s.udp.SetReadDeadline(t)
	}
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.deadline = t
	close(s.changed)
	s.changed = make(chan struct{})
	return nil
}

// SetWriteDeadline does nothing: writing does not wait.
func (s *DatagramSession) SetWriteDeadline(time.Time) error { return nil }

// readPacket takes what follows a RECEIVED line.
func (s *control) readPacket(line string) (packet, error) {
	answer, err := parseReply(line)
	if err != nil {
		return packet{}, err
	}
	size, err := strconv.Atoi(answer.get("SIZE"))
	if err != nil || size < 0 || size > 64*1024 {
		return packet{}, fmt.Errorf("%w: SIZE=%s", ErrProtocol, answer.get("SIZE"))
	}
	p := packet{payload: make([]byte, size), from: Addr{Dest: answer.get("DESTINATION")}}
	if port, err := strconv.ParseUint(strings.TrimSpace(answer.get("FROM_PORT")), 10, 16); err == nil {
		p.from.Port = uint16(port)
	}
	_, err = io.ReadFull(s.conn.reader, p.payload)
	return p, err
}
