package com.example.hsu;

import static java.util.Comparator.comparing;

import hsu.a.v1.HsuA.SummarizeRequest;
import hsu.a.v1.HsuA.SummarizeResponse;
import hsu.a.v1.HsuA.SummaryChunk;
import hsu.a.v1.InterfaceAGrpc.InterfaceAImplBase;
import io.grpc.Context;
import io.grpc.Status;
import io.grpc.stub.StreamObserver;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.stream.Stream;

/** hsu.a.v1.InterfaceA: the best sentence is the one that shares most words with the others. */
final class Summarizer extends InterfaceAImplBase {
  @Override
  public void summarize(SummarizeRequest request, StreamObserver<SummarizeResponse> caller) {
    Answer.with(
        caller,
        () -> {
          String[] sentences = sentences(request);
          var chunks = best(request, sentences).sorted(comparing(SummaryChunk::getPosition)).toList();
          var text = chunks.stream().map(SummaryChunk::getText).collect(Collectors.joining(" "));
          return SummarizeResponse.newBuilder()
              .setSummary(text)
              .addAllChunks(chunks)
              .setTotalSentences(sentences.length)
              .build();
        });
  }

  @Override
  public void streamSummary(SummarizeRequest request, StreamObserver<SummaryChunk> caller) {
    Answer.withEach(caller, () -> best(request, sentences(request)));
  }

  private static String[] sentences(SummarizeRequest request) {
    if (request.getText().isBlank()) {
      throw Status.INVALID_ARGUMENT.withDescription("text: it is empty").asRuntimeException();
    }
    return request.getText().strip().split("(?<=[.!?])\\s+");
  }

  /** The best sentences, best first. */
  private static Stream<SummaryChunk> best(SummarizeRequest request, String[] sentences) {
    double[] scores = scores(sentences);
    int wanted = request.getSentences() == 0 ? 3 : request.getSentences();
    int[] order =
        IntStream.range(0, sentences.length)
            .boxed()
            .sorted(comparing(position -> -scores[position]))
            .limit(Integer.toUnsignedLong(wanted))
            .mapToInt(Integer::intValue)
            .toArray();
    return IntStream.range(0, order.length)
        .mapToObj(
            place ->
                SummaryChunk.newBuilder()
                    .setText(sentences[order[place]])
                    .setRank(place + 1)
                    .setPosition(order[place])
                    .setScore(scores[order[place]])
                    .build());
  }

  private static double[] scores(String[] sentences) {
    List<Set<String>> words =
        Arrays.stream(sentences)
            .map(sentence -> Arrays.stream(sentence.toLowerCase(Locale.ROOT).split("\\W+")))
            .map(each -> each.collect(Collectors.toSet()))
            .toList();
    double[] scores = new double[sentences.length];
    for (int one = 0; one < sentences.length; one++) {
      if (Context.current().isCancelled()) {
        throw Status.CANCELLED.asRuntimeException();
      }
      for (Set<String> others : words) {
        scores[one] += words.get(one).stream().filter(others::contains).count();
      }
    }
    double total = Arrays.stream(scores).sum();
    return Arrays.stream(scores).map(score -> score / total).toArray();
  }
}
