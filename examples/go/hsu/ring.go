package hsu

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "example.com/hsu/gen/corev1"
	"google.golang.org/protobuf/types/known/timestamppb"
)

const (
	// ringBytes is what the ring holds at the most; the oldest records make room.
	ringBytes = 1 << 20
	// recordOverhead is what a record takes beside its texts, about.
	recordOverhead = 64
)

// A ring keeps the last log records of this process, numbered from 1.
type ring struct {
	mu        sync.Mutex
	lineBytes int
	records   []*corev1.LogRecord
	sizes     []int
	bytes     int
	next      uint64
	news      chan struct{}
	closed    bool
}

func newRing(lineBytes int) *ring {
	return &ring{lineBytes: lineBytes, next: 1, news: make(chan struct{})}
}

// append keeps a record. Texts that are too long are cut, and say so.
func (r *ring) append(at time.Time, record *corev1.LogRecord) {
	record.Time = timestamppb.New(at)
	record.Message = r.cut(record.Message)
	record.Exception = r.cut(record.Exception)
	size := recordOverhead + len(record.Message) + len(record.Exception) + len(record.Logger)
	for key, value := range record.Fields {
		record.Fields[key] = r.cut(value)
		size += len(key) + len(record.Fields[key])
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	record.Sequence = r.next
	r.next++
	r.records = append(r.records, record)
	r.sizes = append(r.sizes, size)
	r.bytes += size
	first := 0
	// The newest stays, however long it is.
	for r.bytes > ringBytes && first < len(r.records)-1 {
		r.bytes -= r.sizes[first]
		r.records[first] = nil
		first++
	}
	r.records, r.sizes = r.records[first:], r.sizes[first:]
	r.tell()
}

// window is the oldest sequence number still kept, and the next to come.
func (r *ring) window() (oldest, next uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.next - uint64(len(r.records)), r.next
}

// take gives the records from a cursor on, as many as one message should hold, and how many before
// them are lost. With no records comes a channel that is closed when there are some, or the ring is
// closed; nil when it is closed already.
func (r *ring) take(cursor uint64) (dropped uint64, taken []*corev1.LogRecord, news <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	oldest := r.next - uint64(len(r.records))
	if cursor < oldest {
		dropped, cursor = oldest-cursor, oldest
	}
	start := int(cursor - oldest)
	end, bytes := start, 0
	for end < len(r.records) && end-start < batchRecords {
		bytes += r.sizes[end]
		if bytes > batchBytes && end > start {
			break
		}
		end++
	}
	if !r.closed {
		news = r.news
	}
	return dropped, slices.Clone(r.records[start:end]), news
}

// close lets those who follow come to an end, once they have seen everything.
func (r *ring) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	r.tell()
}

func (r *ring) tell() {
	close(r.news)
	r.news = make(chan struct{})
}

func (r *ring) cut(text string) string {
	text = strings.ToValidUTF8(text, "\uFFFD")
	if len(text) <= r.lineBytes {
		return text
	}
	kept := strings.ToValidUTF8(text[:r.lineBytes], "")
	return fmt.Sprintf("%s [cut: %d bytes]", kept, len(text))
}
