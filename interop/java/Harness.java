// SPDX-License-Identifier: Apache-2.0
// Scenarios by name, the output protocol of ../run, the address, expectations.

import java.io.FileInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.net.Socket;
import java.security.KeyStore;
import java.security.cert.CertificateFactory;
import java.util.HashMap;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.Callable;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLParameters;
import javax.net.ssl.SSLSocket;
import javax.net.ssl.TrustManagerFactory;

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

    /** Trusts the run's authority and shows a certificate. */
    static SSLContext tlsContext() throws Exception {
        char[] password = "interop".toCharArray();
        KeyStore own = KeyStore.getInstance("PKCS12");
        KeyStore trusted = KeyStore.getInstance("PKCS12");
        try (InputStream in = new FileInputStream(System.getenv("TLS_P12"))) {
            own.load(in, password);
        }
        trusted.load(null, null);
        try (InputStream in = new FileInputStream(System.getenv("TLS_CA"))) {
            trusted.setCertificateEntry("ca", CertificateFactory.getInstance("X.509").generateCertificate(in));
        }
        KeyManagerFactory keys = KeyManagerFactory.getInstance("PKIX");
        keys.init(own, password);
        TrustManagerFactory trust = TrustManagerFactory.getInstance("PKIX");
        trust.init(trusted);
        SSLContext context = SSLContext.getInstance("TLS");
        context.init(keys.getKeyManagers(), trust.getTrustManagers(), null);
        return context;
    }

    static void verifyHostname(Socket socket) {
        SSLParameters parameters = ((SSLSocket) socket).getSSLParameters();
        parameters.setEndpointIdentificationAlgorithm("HTTPS");
        ((SSLSocket) socket).setSSLParameters(parameters);
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
