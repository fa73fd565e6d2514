package main

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	av1 "example.com/hsu/gen/av1"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

const wheat = "# From field to table\n\n" +
	"Farmers bring wheat home. Millers make wheat flour.\n" +
	"Millers' flour makes bread. People eat bread daily.\n"

func started(t *testing.T) *summarizer {
	t.Helper()
	s := &summarizer{}
	if err := s.load(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	return s
}

// A chunks collects what a stream sends.
type chunks struct {
	grpc.ServerStream
	ctx  context.Context
	sent []*av1.SummaryChunk
}

func (c *chunks) Context() context.Context { return c.ctx }

func (c *chunks) Send(chunk *av1.SummaryChunk) error {
	c.sent = append(c.sent, chunk)
	return nil
}

func TestASummaryHasTheBestSentencesInTheOrderOfTheText(t *testing.T) {
	reply, err := started(t).Summarize(t.Context(), &av1.SummarizeRequest{Text: wheat})
	if err != nil {
		t.Fatal(err)
	}
	want := "Farmers bring wheat home. Millers make wheat flour. Millers' flour makes bread."
	if reply.Summary != want || reply.TotalSentences != 4 || len(reply.Chunks) != 3 {
		t.Errorf("%v", reply)
	}
}

func TestTheStreamHasTheSameSentencesBestFirst(t *testing.T) {
	s, request := started(t), &av1.SummarizeRequest{Text: wheat, Sentences: 9}
	reply, err := s.Summarize(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	stream := &chunks{ctx: t.Context()}
	if err := s.StreamSummary(request, stream); err != nil {
		t.Fatal(err)
	}
	whole := 0.0
	for i, chunk := range stream.sent {
		whole += chunk.Score
		if chunk.Rank != uint32(i+1) || reply.Chunks[chunk.Position].Text != chunk.Text {
			t.Errorf("%v", chunk)
		}
	}
	if len(stream.sent) != 4 || whole < 0.999999 || whole > 1.000001 {
		t.Errorf("%d chunks, scores add up to %f", len(stream.sent), whole)
	}
}

func TestATextThatCanNotBeSummarisedIsRefusedWithTheField(t *testing.T) {
	for text, problem := range map[string]string{
		"":          "it is empty",
		" \n":       "it is empty",
		"# Bread\n": "it holds no sentence; send a text with at least one word of prose",
		"?!":        "it holds no sentence; send a text with at least one word of prose",
		strings.Repeat("It rains. ", maxSentences+1): "it has more than 2000 sentences; send it in parts",
	} {
		_, err := started(t).Summarize(t.Context(), &av1.SummarizeRequest{Text: text})
		found := status.Convert(err)
		if found.Code() != codes.InvalidArgument || found.Message() != "text: "+problem {
			t.Errorf("%v", err)
			continue
		}
		violation := found.Details()[0].(*errdetails.BadRequest).FieldViolations[0]
		if violation.Field != "text" || violation.Description != problem {
			t.Errorf("%v", violation)
		}
	}
}

func TestTheWorkEndsWhenTheCallerHasGone(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := started(t).Summarize(ctx, &av1.SummarizeRequest{Text: wheat}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestStopWordsAreThereBetweenStartAndStop(t *testing.T) {
	s := started(t)
	if !s.stopWords["the"] || s.stopWords["bread"] || s.stopWords["#"] || s.stopWords["English"] {
		t.Errorf("%v", s.stopWords)
	}
	if err := s.unload(t.Context()); err != nil || s.stopWords != nil {
		t.Errorf("%v, %v", s.stopWords, err)
	}
}

func TestAParagraphIsCutWhereASentenceEnds(t *testing.T) {
	for paragraph, want := range map[string][]string{
		"One. Two! Three?":               {"One.", "Two!", "Three?"},
		"Dr. Smith met J. Doe. He left.": {"Dr. Smith met J. Doe.", "He left."},
		"See vol. 3 of it. And no. 4.":   {"See vol. 3 of it.", "And no. 4."},
		"He said “No.” Then he left.":    {"He said “No.”", "Then he left."},
		"It costs 3.50 in all.":          {"It costs 3.50 in all."},
		"Wait ... what? Yes.":            {"Wait ... what?", "Yes."},
		"今日は。元気です。":                      {"今日は。", "元気です。"},
		"At 3 p.m. we met. At 4 p.m. He": {"At 3 p.m. we met.", "At 4 p.m.", "He"},
		strings.Repeat(".", 100_000):     {strings.Repeat(".", 100_000)},
	} {
		if got := split(paragraph, 100); !slices.Equal(got, want) {
			t.Errorf("%.40q: %q, want %q", paragraph, got, want)
		}
	}
}

func TestMarkupIsNoProse(t *testing.T) {
	for text, want := range map[string][]string{
		"# Heading\n\nSome *text* with `code` and a [link](to).":  {"Some text with code and a link."},
		"Heading\n=======\n\nText.":                               {"Text."},
		"```\ncode\n```\nAfter **it**.":                           {"After it."},
		"Before::\n\n    code\n\nAfter.":                          {"Before:", "After."},
		".. note:: Take care.\n\n.. image:: a.png\n   :alt: none": {"Take care."},
		"- one\n- two\n\n| a | b |\n|---|---|":                    {"one", "two"},
		"A <b>bold</b> <!-- not this --> claim &amp; more.":       {"A bold claim & more."},
		"2 * 3 * 4 and a*b*c and ***all***.":                      {"2 * 3 * 4 and a*b*c and all."},
		">>> code()\nresult\n\nText.":                             {"Text."},
	} {
		if got := paragraphs(text); !slices.Equal(got, want) {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}
