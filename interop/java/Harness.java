// SPDX-License-Identifier: Apache-2.0
// Scenarios by name, the output protocol of ../run, the address, expectations.

import java.io.IOException;
import java.net.Socket;
import java.util.HashMap;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.Callable;

final class Harness {
    static final String HOST = System.getenv("AMQP_HOST");
    static final int PORT = Integer.parseInt(System.getenv("AMQP_PORT"));
    static final int PROXY_PORT = Integer.parseInt(System.getenv("PROXY_PORT"));
    static final String PREFIX = System.getenv("AMQP_PREFIX");
    static final int DEADLINE_MS = 30_000;

    interface Scenario {
        void run() throws Exception;
    }

    private static final Map<String, Scenario> scenarios = new HashMap<>();

    private Harness() {
    }

    static void scenario(String name, Scenario scenario) {
        scenarios.put(name, scenario);
    }

    static void expect(Object actual, Object expected, String what) {
        if (!Objects.deepEquals(actual, expected)) {
            throw new AssertionError(what + ": expected " + expected + ", got " + actual);
        }
    }

    /** Wait until the condition gives something, and return that. */
    static <T> T eventually(String what, Callable<T> condition) throws Exception {
        long deadline = System.currentTimeMillis() + DEADLINE_MS;
        while (System.currentTimeMillis() < deadline) {
            T result = condition.call();
            if (result != null && !Boolean.FALSE.equals(result)) {
                return result;
            }
            Thread.sleep(10);
        }
        throw new AssertionError("waited " + DEADLINE_MS + " ms for " + what);
    }

    /** Cut everything that goes through PROXY_PORT; done on return. */
    static void cutConnections() throws IOException {
        try (Socket socket = new Socket("127.0.0.1", Integer.parseInt(System.getenv("CUT_PORT")))) {
            while (socket.getInputStream().read() >= 0) {
                continue;
            }
        }
    }

    static void main(String[] names) {
        boolean failed = false;
        for (String name : names) {
            try {
                scenarios.get(name).run();
                System.out.println("ok " + name);
            } catch (Throwable error) {
                failed = true;
                error.printStackTrace();
                System.out.println("not ok " + name + ": " + String.valueOf(error).replace('\n', ' '));
            }
        }
        System.exit(failed ? 1 : 0);
    }
}
