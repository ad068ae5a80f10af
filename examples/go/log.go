package vmnet

import (
	"bytes"
	"io"
	"os"
	"strings"
	"sync"
)

// lastError passes the helper's log on and remembers the last line of it, which says why a start failed.
type lastError struct {
	to io.Writer

	mutex sync.Mutex
	rest  []byte
	last  string
}

func (l *lastError) Write(text []byte) (int, error) {
	l.mutex.Lock()
	l.rest = append(l.rest, text...)
	for {
		end := bytes.IndexByte(l.rest, '\n')
		if end < 0 {
			break
		}
		l.last = string(l.rest[:end])
		l.rest = l.rest[end+1:]
	}
	l.mutex.Unlock()
	if l.to == nil {
		return os.Stderr.Write(text)
	}
	return l.to.Write(text)
}

// line is the last line without its level: "ERROR [helper] why" is "why" of vmnet-helper.
func (l *lastError) line() string {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	if l.last == "" {
		return "the helper ended and said nothing"
	}
	return strings.TrimSpace(strings.TrimPrefix(l.last, "ERROR"))
}
