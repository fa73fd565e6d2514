package hsu

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	corev1 "example.com/hsu/gen/corev1"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

func filled(messages ...string) *ring {
	r := newRing(64 << 10)
	for _, message := range messages {
		r.append(time.Now(), &corev1.LogRecord{Message: message})
	}
	return r
}

// read streams a ring's records, without following, and gives what was sent.
func read(t *testing.T, r *ring, asked *corev1.StreamLogsRequest) (*corev1.LogWindow, []string, uint64) {
	t.Helper()
	var window *corev1.LogWindow
	var messages []string
	var dropped uint64
	err := r.stream(context.Background(), testInstance, asked, func(m *corev1.StreamLogsResponse) error {
		if m.Window != nil {
			window = m.Window
		}
		dropped += m.Dropped
		for _, record := range m.Records {
			messages = append(messages, record.Message)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return window, messages, dropped
}

func TestALogIsReadFromACursorOn(t *testing.T) {
	r := filled("a", "b", "c")
	window, messages, dropped := read(t, r, &corev1.StreamLogsRequest{Sequence: 2})
	if window.Oldest != 1 || window.Next != 4 || window.Instance != testInstance || window.Restarted {
		t.Errorf("window %v", window)
	}
	if strings.Join(messages, " ") != "b c" || dropped != 0 {
		t.Errorf("%v, dropped %d", messages, dropped)
	}
}

func TestAnEmptyLogHasAWindow(t *testing.T) {
	window, messages, _ := read(t, filled(), &corev1.StreamLogsRequest{})
	if window.Oldest != 1 || window.Next != 1 || messages != nil {
		t.Errorf("window %v, %v", window, messages)
	}
}

func TestACursorPastTheRecordToComeIsOutOfRange(t *testing.T) {
	err := filled("a").stream(context.Background(), testInstance,
		&corev1.StreamLogsRequest{Sequence: 3}, func(*corev1.StreamLogsResponse) error { return nil })
	if status.Code(err) != codes.OutOfRange {
		t.Errorf("%v", err)
	}
}

func TestWhatTheRingHasLostIsCounted(t *testing.T) {
	r := filled()
	long := strings.Repeat("x", 10_000)
	for range 300 {
		r.append(time.Now(), &corev1.LogRecord{Message: long})
	}
	window, messages, dropped := read(t, r, &corev1.StreamLogsRequest{Sequence: 1})
	if window.Next != 301 || dropped+uint64(len(messages)) != 300 || dropped != window.Oldest-1 {
		t.Errorf("window %v, %d messages, %d dropped", window, len(messages), dropped)
	}
	if size := len(messages) * 10_000; size > ringBytes || size < ringBytes-20_000 {
		t.Errorf("the ring holds %d bytes", size)
	}
}

func TestAnotherInstancesCursorStartsAtTheFirstRecord(t *testing.T) {
	window, messages, _ := read(t, filled("a", "b"), &corev1.StreamLogsRequest{
		Instance: "another", Sequence: 2,
	})
	if !window.Restarted || strings.Join(messages, " ") != "a b" {
		t.Errorf("window %v, %v", window, messages)
	}
}

func TestAFollowedLogEndsAfterItsLastRecord(t *testing.T) {
	r := filled("a")
	var messages []string
	ended := make(chan error)
	first := make(chan struct{})
	go func() {
		ended <- r.stream(context.Background(), testInstance, &corev1.StreamLogsRequest{Follow: true},
			func(m *corev1.StreamLogsResponse) error {
				for _, record := range m.Records {
					messages = append(messages, record.Message)
					if record.Message == "a" {
						close(first)
					}
				}
				return nil
			})
	}()
	<-first
	r.append(time.Now(), &corev1.LogRecord{Message: "b"})
	r.close()
	if err := <-ended; err != nil || strings.Join(messages, " ") != "a b" {
		t.Errorf("%v, %v", messages, err)
	}
}

func TestSlogRecordsKeepLevelLoggerAndFields(t *testing.T) {
	r := filled()
	logger := slog.New(&ringHandler{ring: r, level: slog.LevelInfo, logger: "program"})
	logger.Debug("too little")
	logger.Warn("odd", "count", 3, slog.Group("g", "inner", errors.New("broken")))
	logger.With("logger", "program.model", "a", 1).WithGroup("group").Error("bad", "b", "2", "stack", "x")
	logger.Error("worse", "stack", "goroutine 1")
	logger.Log(context.Background(), slog.LevelError+4, "worst \xff")

	_, records, _ := r.take(1)
	if len(records) != 4 {
		t.Fatalf("%v", records)
	}
	odd, bad, worse, worst := records[0], records[1], records[2], records[3]
	if odd.Level != corev1.LogLevel_LOG_LEVEL_WARNING || odd.Logger != "program" ||
		odd.Fields["count"] != "3" || odd.Fields["g.inner"] != "broken" {
		t.Errorf("%v", odd)
	}
	if bad.Logger != "program.model" || bad.Fields["a"] != "1" || bad.Fields["group.b"] != "2" ||
		len(bad.Fields) != 3 {
		t.Errorf("%v", bad)
	}
	if worse.Exception != "goroutine 1" || len(worse.Fields) != 0 {
		t.Errorf("%v", worse)
	}
	if worst.Level != corev1.LogLevel_LOG_LEVEL_CRITICAL || worst.Message != "worst \uFFFD" {
		t.Errorf("%v", worst)
	}
	_, messages, _ := read(t, r, &corev1.StreamLogsRequest{Logger: "program", Level: 40})
	if len(messages) != 3 {
		t.Errorf("%v", messages)
	}
	if _, messages, _ := read(t, r, &corev1.StreamLogsRequest{Logger: "prog"}); messages != nil {
		t.Errorf("%v", messages)
	}
}

func TestALongMessageIsCutAndSaysSo(t *testing.T) {
	r := newRing(10)
	r.append(time.Now(), &corev1.LogRecord{Message: "123456789é"})
	if _, records, _ := r.take(1); records[0].Message != "123456789 [cut: 11 bytes]" {
		t.Errorf("%q", records[0].Message)
	}
}
