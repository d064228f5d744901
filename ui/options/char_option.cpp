// SPDX-License-Identifier: MIT
#include "ui/options/char_option.h"

#include "ui/options/key_values.h"
#include "ui/options/size_text.h"

namespace shadowbox {

namespace {

Expected<void> take_server(KeyValues& values, ChardevConfig& config) {
    auto server = values.take_switch("server", false);
    if (!server) return tl::unexpected(server.error());
    config.server = *server;
    auto wait = values.take_switch("wait", config.server);
    if (!wait) return tl::unexpected(wait.error());
    config.wait = *wait;
    if (config.wait && !config.server)
        return make_error(ErrorCode::kInvalidArgument, "wait=on needs server=on");
    values.take("id");
    config.log_file = values.take("logfile").value_or("");
    return {};
}

Expected<void> check_port(const std::string& text, u16& port) {
    auto number = parse_number(text, 65535);
    if (!number) return make_error(ErrorCode::kInvalidArgument, "port {}", number.error().message);
    port = static_cast<u16>(*number);
    return {};
}

}  // namespace

Expected<ChardevConfig> parse_chardev(const std::string& text) {
    KeyValues values(text, true);
    ChardevConfig config;
    config.kind = values.word();
    config.id = values.take("id").value_or("");
    if (config.id.empty())
        return make_error(ErrorCode::kInvalidArgument, "'{}' has no id: write id=NAME", text);
    config.log_file = values.take("logfile").value_or("");
    if (config.kind == "stdio" || config.kind == "null") {
        values.take("mux");
        values.take("signal");
        if (auto ok = values.finish("-chardev " + config.kind, "id, logfile"); !ok)
            return tl::unexpected(ok.error());
        return config;
    }
    config.path = values.take("path").value_or("");
    if (config.kind == "file") {
        if (config.path.empty())
            return make_error(ErrorCode::kInvalidArgument, "'{}' has no path: write path=FILE", text);
        if (auto ok = values.finish("-chardev file", "id, path, logfile"); !ok)
            return tl::unexpected(ok.error());
        return config;
    }
    if (config.kind != "socket")
        return make_error(ErrorCode::kInvalidArgument,
                          "'{}': no such back end; known: socket, file, stdio, null", config.kind);
    config.host = values.take("host").value_or("");
    auto port = values.take("port");
    if (port)
        if (auto ok = check_port(*port, config.port); !ok) return tl::unexpected(ok.error());
    if (config.path.empty() == !port.has_value())
        return make_error(ErrorCode::kInvalidArgument,
                          "'{}': a socket has either path=PATH or host=HOST,port=PORT", text);
    std::string log = config.log_file;
    if (auto ok = take_server(values, config); !ok) return tl::unexpected(ok.error());
    config.log_file = log;
    if (auto ok = values.finish("-chardev socket", "id, path, host, port, server, wait, logfile"); !ok)
        return tl::unexpected(ok.error());
    return config;
}

Expected<ChardevConfig> parse_char_spec(const std::string& text, const std::vector<ChardevConfig>& chardevs) {
    ChardevConfig config;
    std::size_t colon = text.find(':');
    std::string kind = text.substr(0, colon), rest = colon == std::string::npos ? "" : text.substr(colon + 1);
    if (text == "stdio" || text == "mon:stdio") {
        config.kind = "stdio";
        if (text != "stdio") config.id = "mon";
        return config;
    }
    if (text == "null" || text == "none") {
        config.kind = "null";
        return config;
    }
    if (kind == "file" && !rest.empty()) {
        config.kind = "file";
        config.path = rest;
        return config;
    }
    if (kind == "chardev" && !rest.empty()) {
        for (const ChardevConfig& chardev : chardevs)
            if (chardev.id == rest) return chardev;
        return make_error(ErrorCode::kInvalidArgument, "'{}': no -chardev has the id '{}'", text, rest);
    }
    if ((kind != "tcp" && kind != "unix") || rest.empty())
        return make_error(ErrorCode::kInvalidArgument,
                          "'{}': no such back end; known: stdio, none, null, file:PATH, tcp:HOST:PORT, "
                          "unix:PATH, chardev:ID",
                          text);
    KeyValues values(rest, true);
    config.kind = "socket";
    if (kind == "unix") {
        config.path = values.word();
        if (config.path.empty())
            return make_error(ErrorCode::kInvalidArgument, "'{}' has no path: write unix:PATH", text);
    } else {
        std::size_t at = values.word().rfind(':');
        if (at == std::string::npos)
            return make_error(ErrorCode::kInvalidArgument, "'{}' has no port: write tcp:HOST:PORT", text);
        config.host = values.word().substr(0, at);
        if (auto ok = check_port(values.word().substr(at + 1), config.port); !ok)
            return wrap_error(ok.error(), "'{}'", text);
    }
    if (auto ok = take_server(values, config); !ok) return wrap_error(ok.error(), "'{}'", text);
    if (auto ok = values.finish("'" + text + "'", "server, wait, logfile"); !ok)
        return tl::unexpected(ok.error());
    return config;
}

}  // namespace shadowbox
