"""Requests to a local server, without a client."""

import http.client
import json


def ask(server, method, path, body=None, **headers):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    try:
        fields = {"Authorization": f"Bearer {server.token}"} | {
            name.replace("_", "-"): value for name, value in headers.items()
        }
        connection.request(
            method, path, json.dumps(body) if isinstance(body, (dict, list)) else body, fields
        )
        response = connection.getresponse()
        return response.status, response.headers, response.read()
    finally:
        connection.close()


def get(url, **headers):
    host, _, path = url.removeprefix("http://").partition("/")
    connection = http.client.HTTPConnection(host, timeout=10)
    try:
        connection.request(
            "GET",
            f"/{path}",
            headers={name.replace("_", "-"): value for name, value in headers.items()},
        )
        response = connection.getresponse()
        return response.status, response.headers, response.read()
    finally:
        connection.close()
