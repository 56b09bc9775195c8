// SPDX-License-Identifier: MIT

package sam

import (
	"cmp"
	"context"
	"fmt"
)

// PrimarySession has one destination and one set of tunnels for several parts: streams and datagrams of every style,
// told apart by protocol and port. Needs a router that speaks SAM 3.3.
type PrimarySession struct {
	*control
	id string
}

// OpenPrimary makes a session that parts can be added to.
func (cl *Client) OpenPrimary(ctx context.Context, o Options) (*PrimarySession, error) {
	control, id, err := cl.open(ctx, "PRIMARY", "", o)
	if err != nil {
		return nil, err
	}
	return &PrimarySession{control: control, id: id}, nil
}

// ID is the session's name at the router.
func (s *PrimarySession) ID() string { return s.id }

// AddStream adds streams. FromPort is the port that is listened to; 0 takes those to every port that no other part
// listens to. Keys and router options belong to the whole session and are ignored here.
func (s *PrimarySession) AddStream(ctx context.Context, o Options) (*StreamSession, error) {
	id, err := o.check()
	if err != nil {
		return nil, err
	}
	command := fmt.Sprintf("SESSION ADD STYLE=STREAM ID=%s%s", id, ports(o.FromPort, o.ToPort))
	if _, err := s.ask(ctx, command); err != nil {
		return nil, err
	}
	part := newStreams(s.control, id, true)
	part.local.Port = o.FromPort
	return part, nil
}

// AddDatagram adds datagrams of one style, by UDP.
func (s *PrimarySession) AddDatagram(ctx context.Context, o DatagramOptions) (*DatagramSession, error) {
	if o.OverControl {
		return nil, fmt.Errorf("parts of a primary session have their datagrams by UDP")
	}
	id, err := o.check()
	if err != nil {
		return nil, err
	}
	part, extra, err := s.client.datagrams(o)
	if err != nil {
		return nil, err
	}
	part.control, part.id, part.part = s.control, id, true
	part.local = Addr{Dest: s.local.Dest, Port: cmp.Or(o.ListenPort, o.FromPort)}
	if o.ListenPort != 0 {
		extra += fmt.Sprintf(" LISTEN_PORT=%d", o.ListenPort)
	}
	command := fmt.Sprintf("SESSION ADD STYLE=%s ID=%s%s%s", part.style, part.id, extra, ports(o.FromPort, o.ToPort))
	if _, err := s.ask(ctx, command); err != nil {
		part.closeUDP()
		return nil, err
	}
	part.closeWithSession()
	return part, nil
}

// Remove ends a part by its ID.
func (s *PrimarySession) Remove(ctx context.Context, id string) error {
	return s.remove(ctx, id)
}
