// SPDX-License-Identifier: MIT

package sam

import (
	"fmt"
	"strings"
)

// reply is one line of the router: two words, then key=value pairs.
type reply struct {
	command string
	pairs   [][2]string
}

func (r reply) get(key string) string {
	for _, pair := range r.pairs {
		if pair[0] == key {
			return pair[1]
		}
	}
	return ""
}

// check turns every RESULT but OK into an error. Only DEST REPLY goes without one.
func (r reply) check() error {
	switch result := r.get("RESULT"); {
	case result == "OK", result == "" && r.command == "DEST REPLY":
		return nil
	case result == "":
		return fmt.Errorf("%w: %s without RESULT", ErrProtocol, r.command)
	default:
		return &Error{Command: r.command, Result: result, Message: r.get("MESSAGE")}
	}
}

// answerTo takes a line as the answer to a command: both begin with the same word.
func answerTo(command, line string) (reply, error) {
	answer, err := parseReply(line)
	if err != nil {
		return reply{}, err
	}
	if word, _, _ := strings.Cut(command, " "); !strings.HasPrefix(answer.command, word+" ") {
		return reply{}, fmt.Errorf("%w: %.80q to a %s command", ErrProtocol, line, word)
	}
	return answer, answer.check()
}

func parseReply(line string) (reply, error) {
	words, err := split(line)
	if err != nil || len(words) < 2 {
		return reply{}, fmt.Errorf("%w: %.80q", ErrProtocol, line)
	}
	r := reply{command: words[0] + " " + words[1]}
	for _, word := range words[2:] {
		key, value, _ := strings.Cut(word, "=")
		r.pairs = append(r.pairs, [2]string{key, value})
	}
	return r, nil
}

// split cuts a line at blanks outside quotes; a backslash makes the next character plain.
func split(line string) ([]string, error) {
	var words []string
	var word strings.Builder
	inside, quoted := false, false
	for i := 0; i < len(line); i++ {
		switch c := line[i]; {
		case c == '\\' && i+1 < len(line):
			i++
			word.WriteByte(line[i])
			inside = true
		case c == '"':
			quoted, inside = !quoted, true
		case (c == ' ' || c == '\t') && !quoted:
			if inside {
				words = append(words, word.String())
				word.Reset()
				inside = false
			}
		default:
			word.WriteByte(c)
			inside = true
		}
	}
	if quoted {
		return nil, fmt.Errorf("%w: a quote is not closed", ErrProtocol)
	}
	if inside {
		words = append(words, word.String())
	}
	return words, nil
}
