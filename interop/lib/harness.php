<?php
// SPDX-License-Identifier: Apache-2.0
// What the PHP clients share: scenarios by name, the output protocol of ../run, the address, expectations.
declare(strict_types=1);

const DEADLINE_S = 30;

final class Failure extends Exception
{
}

/** This client cannot do it; the message says why. */
final class Skip extends Exception
{
}

/** @var array<string, callable> */
$scenarios = [];

function scenario(string $name, callable $work): void
{
    global $scenarios;
    $scenarios[$name] = $work;
}

function unavailable(string $reason, string ...$names): void
{
    foreach ($names as $name) {
        scenario($name, fn() => throw new Skip($reason));
    }
}

function expect(mixed $actual, mixed $expected, string $what = 'value'): void
{
    if ($actual != $expected || gettype($actual) !== gettype($expected)) {
        throw new Failure("$what: expected " . json_encode($expected) . ', got ' . json_encode($actual));
    }
}

/** Wait until condition() gives something truthy, and return that. */
function eventually(string $what, callable $condition): mixed
{
    for ($deadline = microtime(true) + DEADLINE_S; !($result = $condition()); usleep(10000)) {
        if (microtime(true) > $deadline) {
            throw new Failure('waited ' . DEADLINE_S . " s for $what");
        }
    }
    return $result;
}

/** Cut everything that goes through PROXY_PORT; done on return. */
function cutConnections(): void
{
    stream_get_contents(stream_socket_client('tcp://127.0.0.1:' . getenv('CUT_PORT')));
}

function named(string $name): string
{
    return getenv('AMQP_PREFIX') . $name;
}

function body10mb(): string
{
    $pattern = implode('', array_map(fn($i) => chr($i * 31 % 251), range(0, 250)));
    return substr(str_repeat($pattern, 39841), 0, 10_000_000);
}

function main(array $names): never
{
    global $scenarios;
    $failed = false;
    foreach ($names as $name) {
        try {
            $scenarios[$name]();
            echo "ok $name\n";
        } catch (Skip $skip) {
            echo "skip $name: {$skip->getMessage()}\n";
        } catch (Throwable $error) {
            $failed = true;
            fwrite(STDERR, "$error\n");
            echo "not ok $name: ", get_class($error), ' ', strtr($error->getMessage(), "\n", ' '), "\n";
        }
    }
    exit($failed ? 1 : 0);
}
