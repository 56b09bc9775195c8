// SPDX-License-Identifier: MIT

package sam

import (
	"errors"
	"fmt"
)

// Error is an answer of the router other than OK.
type Error struct {
	// Command that was refused, as "STREAM STATUS".
	Command string
	// Result code, as "CANT_REACH_PEER".
	Result string
	// Message for people; often empty.
	Message string
}

func (e *Error) Error() string {
	if e.Message == "" {
		return fmt.Sprintf("%s: %s", e.Command, e.Result)
	}
	return fmt.Sprintf("%s: %s: %s", e.Command, e.Result, e.Message)
}

// Is makes errors.Is compare by the result code alone.
func (e *Error) Is(target error) bool {
	var other *Error
	return errors.As(target, &other) && other.Command == "" && other.Result == e.Result
}

// Timeout reports whether the peer did not answer in time; part of net.Error.
func (e *Error) Timeout() bool { return e.Result == "TIMEOUT" }

// Temporary reports whether another attempt may succeed; part of net.Error.
func (e *Error) Temporary() bool { return e.Result == "TIMEOUT" || e.Result == "CANT_REACH_PEER" }

// The codes of the specification, for errors.Is.
var (
	ErrCantReachPeer    = &Error{Result: "CANT_REACH_PEER"}
	ErrDuplicatedDest   = &Error{Result: "DUPLICATED_DEST"}
	ErrDuplicatedID     = &Error{Result: "DUPLICATED_ID"}
	ErrI2P              = &Error{Result: "I2P_ERROR"}
	ErrInvalidID        = &Error{Result: "INVALID_ID"}
	ErrInvalidKey       = &Error{Result: "INVALID_KEY"}
	ErrKeyNotFound      = &Error{Result: "KEY_NOT_FOUND"}
	ErrLeaseSetNotFound = &Error{Result: "LEASESET_NOT_FOUND"}
	ErrNoVersion        = &Error{Result: "NOVERSION"}
	ErrTimeout          = &Error{Result: "TIMEOUT"}
)

// ErrProtocol is wrapped by errors about answers that make no sense.
var ErrProtocol = errors.New("not a SAM answer")
