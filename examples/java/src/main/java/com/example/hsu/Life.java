package com.example.hsu;

import static io.grpc.health.v1.HealthCheckResponse.ServingStatus.NOT_SERVING;
import static io.grpc.health.v1.HealthCheckResponse.ServingStatus.SERVING;

import hsu.core.v1.HsuCore.State;
import io.grpc.Server;
import io.grpc.Status;
import io.grpc.protobuf.services.HealthStatusManager;
import java.time.Duration;
import java.util.concurrent.TimeUnit;

/** The state, the calls in flight, and the way out. */
final class Life {
  /** For calls in flight, when nobody says otherwise. */
  static final Duration GRACE = Duration.ofSeconds(30);

  private final HealthStatusManager health;
  private State state;
  private int calls;
  private Server server;
  private long end;

  Life(HealthStatusManager health) {
    this.health = health;
    health.setStatus("live", SERVING);
    become(State.STATE_STOPPED);
  }

  synchronized State state() {
    return state;
  }

  synchronized int calls() {
    return calls;
  }

  synchronized void began(Server server) {
    this.server = server;
  }

  private synchronized void become(State next) {
    state = next;
    var told = next == State.STATE_RUNNING ? SERVING : NOT_SERVING;
    health.setStatus(HealthStatusManager.SERVICE_NAME_ALL_SERVICES, told);
    health.setStatus(Core.OWN.getFullName(), told);
    notifyAll();
  }

  /** Lets a call in, in RUNNING only. */
  synchronized boolean enter() {
    if (state != State.STATE_RUNNING) {
      return false;
    }
    calls++;
    return true;
  }

  synchronized void exit() {
    calls--;
    notifyAll();
  }

  synchronized State start() throws InterruptedException {
    while (state == State.STATE_STOPPING) {
      wait();
    }
    if (state == State.STATE_DRAINING) {
      throw Status.FAILED_PRECONDITION.withDescription("DRAINING").asRuntimeException();
    }
    become(State.STATE_RUNNING);
    return state;
  }

  synchronized State stop() throws InterruptedException {
    if (state == State.STATE_RUNNING) {
      become(State.STATE_STOPPING);
    }
    while (state == State.STATE_STOPPING && calls > 0) {
      wait();
    }
    if (state == State.STATE_STOPPING) {
      become(State.STATE_STOPPED);
    }
    return state == State.STATE_DRAINING ? state : State.STATE_STOPPED;
  }

  /** Goes, and gives calls in flight this long at the most; returns how long they have. */
  synchronized Duration leave(Duration grace) {
    if (server == null) {
      Runtime.getRuntime().halt(0);
    }
    long wanted = System.nanoTime() + grace.toNanos();
    if (state != State.STATE_DRAINING) {
      end = wanted;
      become(State.STATE_DRAINING);
      new Thread(this::drain).start();
    } else if (wanted < end) {
      end = wanted;
      notifyAll();
    } else {
      return Duration.ofNanos(end - System.nanoTime());
    }
    return grace;
  }

  private void drain() {
    try {
      synchronized (this) {
        for (long left; calls > 0 && (left = end - System.nanoTime()) > 0; ) {
          TimeUnit.NANOSECONDS.timedWait(this, left);
        }
      }
      server.shutdown().awaitTermination(1, TimeUnit.SECONDS);
    } catch (InterruptedException error) {
      // Nobody interrupts; it leaves in any case.
    }
    Runtime.getRuntime().halt(0);
  }
}
