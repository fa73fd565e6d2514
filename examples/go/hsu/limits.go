package hsu

import corev1 "example.com/hsu/gen/corev1"

// Limits are what a worker accepts at the most. They are told in the handshake; 0 is the default.
type Limits struct {
	// MessageBytes is the size of one message, each way. 4 MiB.
	MessageBytes int
	// MetadataBytes is the size of one call's metadata. 16 KiB.
	MetadataBytes int
	// LogLineBytes is the size of one log record's message; longer ones are cut. 64 KiB.
	LogLineBytes int
	// ConcurrentCalls is how many calls run at the same time; further ones wait. 100.
	ConcurrentCalls int
}

func (l Limits) withDefaults() Limits {
	for _, each := range []struct {
		value    *int
		standard int
	}{
		{&l.MessageBytes, 4 << 20},
		{&l.MetadataBytes, 16 << 10},
		{&l.LogLineBytes, 64 << 10},
		{&l.ConcurrentCalls, 100},
	} {
		if *each.value <= 0 {
			*each.value = each.standard
		}
	}
	return l
}

func (l Limits) message() *corev1.Limits {
	return &corev1.Limits{
		MessageBytes:    uint64(l.MessageBytes),
		MetadataBytes:   uint64(l.MetadataBytes),
		LogLineBytes:    uint64(l.LogLineBytes),
		ConcurrentCalls: uint32(l.ConcurrentCalls),
	}
}
