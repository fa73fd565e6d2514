package com.example.hsu;

import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.stub.StreamObserver;
import java.util.UUID;
import java.util.concurrent.Callable;
import java.util.stream.Stream;

/** Ends a call with what its handler returns, or throws. */
final class Answer {
  private Answer() {}

  static <T> void with(StreamObserver<T> caller, Callable<T> handler) {
    withEach(caller, () -> Stream.of(handler.call()));
  }

  static <T> void withEach(StreamObserver<T> caller, Callable<Stream<T>> handler) {
    try {
      handler.call().forEach(caller::onNext);
      caller.onCompleted();
    } catch (StatusRuntimeException foreseen) {
      caller.onError(foreseen);
    } catch (Exception unforeseen) {
      String id = UUID.randomUUID().toString();
      System.err.println("error " + id);
      unforeseen.printStackTrace();
      caller.onError(Status.INTERNAL.withDescription("error " + id).asRuntimeException());
    }
  }
}
