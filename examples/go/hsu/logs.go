package hsu

import (
	"context"
	"fmt"
	"strings"

	corev1 "example.com/hsu/gen/corev1"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

const (
	// batchRecords and batchBytes bound one message of a log stream.
	batchRecords = 256
	batchBytes   = 256 << 10
)

func (r *ring) message(instance string) *corev1.LogWindow {
	oldest, next := r.window()
	return &corev1.LogWindow{Instance: instance, Oldest: oldest, Next: next}
}

// stream sends the window, then the records from a cursor on, then, when asked to, what comes.
func (r *ring) stream(ctx context.Context, instance string, asked *corev1.StreamLogsRequest,
	send func(*corev1.StreamLogsResponse) error) error {
	window := r.message(instance)
	window.Restarted = asked.Instance != "" && asked.Instance != instance
	cursor := asked.Sequence
	switch {
	case window.Restarted:
		// All that this instance has logged is news to who followed another one.
		cursor = 1
	case cursor == 0:
		cursor = window.Oldest
	case cursor > window.Next:
		return status.Error(codes.OutOfRange, fmt.Sprintf(
			"sequence %d is past the record to come, %d, of this instance", cursor, window.Next))
	}
	if err := send(&corev1.StreamLogsResponse{Window: window}); err != nil {
		return err
	}
	for {
		dropped, records, news := r.take(cursor)
		cursor += dropped + uint64(len(records))
		wanted := wantedOf(records, asked)
		if dropped > 0 || len(wanted) > 0 {
			message := &corev1.StreamLogsResponse{Dropped: dropped, Records: wanted}
			if err := send(message); err != nil {
				return err
			}
		}
		if cursor >= window.Next && !asked.Follow || len(records) == 0 && news == nil {
			return nil
		}
		if len(records) == 0 {
			select {
			case <-news:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
}

func wantedOf(records []*corev1.LogRecord, asked *corev1.StreamLogsRequest) []*corev1.LogRecord {
	var wanted []*corev1.LogRecord
	for _, record := range records {
		below := strings.HasPrefix(record.Logger, asked.Logger+".")
		if record.Level >= asked.Level && (asked.Logger == "" || record.Logger == asked.Logger || below) {
			wanted = append(wanted, record)
		}
	}
	return wanted
}
