package hsu

import (
	"context"
	"errors"
	"log"
	"log/slog"
	"maps"
	"strings"

	corev1 "example.com/hsu/gen/corev1"
)

const (
	// loggerKey is the attribute that names the logger of a record.
	loggerKey = "logger"
	// stackKey is the attribute that holds a stack; it becomes the record's exception.
	stackKey = "stack"
)

// A ringHandler puts the program's slog records into a ring.
type ringHandler struct {
	ring  *ring
	level slog.Leveler
	// logger is the name of records that don't give one.
	logger string
	prefix string
	fields map[string]string
}

func (h *ringHandler) Enabled(_ context.Context, level slog.Level) bool {
	return level >= h.level.Level()
}

func (h *ringHandler) Handle(_ context.Context, record slog.Record) error {
	fields := maps.Clone(h.fields)
	if fields == nil {
		fields = map[string]string{}
	}
	record.Attrs(func(attribute slog.Attr) bool {
		addFields(fields, h.prefix, attribute)
		return true
	})
	kept := &corev1.LogRecord{
		Level:     levelOf(record.Level),
		Logger:    h.logger,
		Message:   record.Message,
		Exception: fields[stackKey],
		Fields:    fields,
	}
	if given := fields[loggerKey]; given != "" {
		kept.Logger = given
	}
	delete(fields, loggerKey)
	delete(fields, stackKey)
	h.ring.append(record.Time, kept)
	return nil
}

func (h *ringHandler) WithAttrs(attributes []slog.Attr) slog.Handler {
	more := *h
	more.fields = map[string]string{}
	maps.Copy(more.fields, h.fields)
	for _, attribute := range attributes {
		addFields(more.fields, h.prefix, attribute)
	}
	return &more
}

func (h *ringHandler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	more := *h
	more.prefix += name + "."
	return &more
}

func addFields(fields map[string]string, prefix string, attribute slog.Attr) {
	value := attribute.Value.Resolve()
	if value.Kind() != slog.KindGroup {
		if attribute.Key != "" {
			fields[validText(prefix+attribute.Key)] = value.String()
		}
		return
	}
	if attribute.Key != "" {
		prefix += attribute.Key + "."
	}
	for _, inner := range value.Group() {
		addFields(fields, prefix, inner)
	}
}

func validText(text string) string { return strings.ToValidUTF8(text, "\uFFFD") }

// A teeHandler writes each record twice.
type teeHandler struct{ one, other slog.Handler }

func (t teeHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return t.one.Enabled(ctx, level)
}

func (t teeHandler) Handle(ctx context.Context, record slog.Record) error {
	return errors.Join(t.one.Handle(ctx, record.Clone()), t.other.Handle(ctx, record))
}

func (t teeHandler) WithAttrs(attributes []slog.Attr) slog.Handler {
	return teeHandler{t.one.WithAttrs(attributes), t.other.WithAttrs(attributes)}
}

func (t teeHandler) WithGroup(name string) slog.Handler {
	return teeHandler{t.one.WithGroup(name), t.other.WithGroup(name)}
}

// logTo makes a handler slog's default, and so that of package log. The function that it returns
// undoes it.
func logTo(handler slog.Handler) func() {
	before, writer, flags := slog.Default(), log.Writer(), log.Flags()
	slog.SetDefault(slog.New(handler))
	return func() {
		slog.SetDefault(before)
		log.SetOutput(writer)
		log.SetFlags(flags)
	}
}

// levelOf is slog's level as the contract numbers it; one in between is the next one below.
func levelOf(level slog.Level) corev1.LogLevel {
	switch {
	case level < slog.LevelDebug:
		return corev1.LogLevel_LOG_LEVEL_UNSPECIFIED
	case level < slog.LevelInfo:
		return corev1.LogLevel_LOG_LEVEL_DEBUG
	case level < slog.LevelWarn:
		return corev1.LogLevel_LOG_LEVEL_INFO
	case level < slog.LevelError:
		return corev1.LogLevel_LOG_LEVEL_WARNING
	case level < slog.LevelError+4:
		return corev1.LogLevel_LOG_LEVEL_ERROR
	}
	return corev1.LogLevel_LOG_LEVEL_CRITICAL
}
