// SPDX-License-Identifier: Apache-2.0
import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.io.InputStream;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.util.HexFormat;
import java.util.concurrent.Executors;

/**
 * The service of clients/web.py in Java; a second port answers with what available() returns: java
 * Server.java PORT PORT.
 */
public class Server {
    static final byte[] NOISE = new byte[2 << 20];

    public static void main(String[] ports) throws Exception {
        for (int i = 0; i < 1 << 16; i++) {
            byte[] hash = sha256().digest(Integer.toString(i % (1 << 15)).getBytes(StandardCharsets.US_ASCII));
            System.arraycopy(hash, 0, NOISE, i * 32, 32);
        }
        InetAddress loopback = InetAddress.getByName("127.0.0.1");
        ServerSocket listener = new ServerSocket(Integer.parseInt(ports[1]), 10, loopback);
        new Thread(() -> tellAvailable(listener)).start();
        HttpServer server = HttpServer.create(new InetSocketAddress(loopback, Integer.parseInt(ports[0])), 0);
        server.setExecutor(Executors.newCachedThreadPool());
        server.createContext("/", Server::answer);
        server.start();
    }

    static void answer(HttpExchange exchange) throws IOException {
        if (exchange.getRequestMethod().equals("POST")) {
            byte[] hash = sha256().digest(exchange.getRequestBody().readAllBytes());
            byte[] text = HexFormat.of().formatHex(hash).getBytes(StandardCharsets.US_ASCII);
            exchange.sendResponseHeaders(200, text.length);
            exchange.getResponseBody().write(text);
        } else {
            String[] words = exchange.getRequestURI().getPath().split("/");
            int count = Integer.parseInt(words[1]), size = Integer.parseInt(words[2]);
            exchange.sendResponseHeaders(200, (long) count * size);
            for (int i = 0; i < count; i++) exchange.getResponseBody().write(NOISE, i, size);
        }
        exchange.close();
    }

    /** Reads one byte of each message of 1000 and answers how many more there are. */
    static void tellAvailable(ServerSocket listener) {
        try (Socket socket = listener.accept()) {
            InputStream in = socket.getInputStream();
            while (in.read() >= 0) {
                byte[] text = (in.available() + "\n").getBytes(StandardCharsets.US_ASCII);
                in.readNBytes(999);
                socket.getOutputStream().write(text);
            }
        } catch (IOException error) {
            error.printStackTrace();
            System.exit(1);
        }
    }

    static MessageDigest sha256() {
        try {
            return MessageDigest.getInstance("SHA-256");
        } catch (Exception error) {
            throw new IllegalStateException(error);
        }
    }
}
